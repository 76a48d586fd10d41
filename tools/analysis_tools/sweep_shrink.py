"""Models of few channels and layers for ``sweep_models.py``."""

import copy
from typing import Any

import torch
from mmengine.config import ConfigDict

from mmsemi.registry import MODELS

STAGES = [8, 16, 32, 64]
RESNET = dict(depth=18, stem_channels=8, base_channels=8)
VIT = dict(embed_dims=16, num_heads=2)

SMALL: dict[str, dict[str, Any]] = {
    'ResNet': RESNET,
    'ResNetV1c': RESNET,
    'VisionTransformer': VIT,
    'BEiT': VIT,
    'MAE': VIT,
    'MixVisionTransformer': dict(
        embed_dims=8, num_layers=[1] * 4, num_heads=[1, 2, 4, 8]
    ),
    'SwinTransformer': dict(
        embed_dims=8, depths=(1,) * 4, num_heads=(1, 2, 4, 8), window_size=4
    ),
    'PCPVT': dict(embed_dims=STAGES, num_heads=[1, 2, 4, 8], depths=[1] * 4),
    'ConvNeXt': dict(arch=dict(depths=[1] * 4, channels=STAGES)),
    'PoolFormer': dict(
        arch=dict(
            layers=[1] * 4,
            embed_dims=STAGES,
            mlp_ratios=[2] * 4,
            layer_scale_init_value=1e-5,
        )
    ),
    'MobileNetV3': dict(arch='small', out_indices=(0, 1, 12)),
    'UNet': dict(base_channels=8),
    # necks
    'FPN': dict(out_channels=8),
    'JPU': dict(mid_channels=8),
    'MLANeck': dict(out_channels=8),
    'MultiLevelNeck': dict(out_channels=8),
    # heads
    'DAHead': dict(pam_channels=4),
    'EMAHead': dict(ema_channels=8, num_bases=4),
    'ANNHead': dict(project_channels=4),
    'ISAHead': dict(isa_channels=4),
    'OCRHead': dict(ocr_channels=4),
    'EncHead': dict(num_codes=4),
    'SETRMLAHead': dict(mla_channels=2),
    'DPTHead': dict(post_process_channels=[4] * 4, embed_dims=16),
    'PSAHead': dict(mask_size=(8, 8)),
    'SegmenterMaskTransformerHead': dict(embed_dims=16, num_heads=2, num_layers=1),
    'DepthwiseSeparableASPPHead': dict(c1_in_channels=8, c1_channels=4),
}

FOUR = dict(out_indices=(0, 1, 2, 3))
BACKBONES: dict[str, dict[str, Any]] = {
    'ResNet': dict(depth=18, **FOUR),
    'SEResNet': dict(depth=50, **FOUR),
    'ResNeXt': dict(depth=50, **FOUR),
    'Res2Net': dict(depth=50, **FOUR),
    'RegNet': dict(arch='regnetx_400mf', **FOUR),
    'DenseNet': dict(arch='121', **FOUR),
    'VGG': dict(depth=11, norm_cfg=dict(type='BN'), out_indices=(1, 2, 3, 4)),
    'RepVGG': dict(arch='A0', **FOUR),
    'MobileNetV2': dict(out_indices=(1, 2, 4, 7)),
    'MobileNetV3': dict(arch='small', out_indices=(0, 3, 8, 12)),
    'MobileOne': dict(arch='s0', **FOUR),
    'ShuffleNetV2': dict(out_indices=(0, 1, 2)),
    'EfficientNet': dict(arch='b0', out_indices=(2, 3, 4, 6)),
    'EfficientNetV2': dict(arch='b0', out_indices=(2, 3, 5, 6)),
    'HRNet': dict(arch='w18'),
    'CSPDarkNet': dict(depth=53, out_indices=(1, 2, 3, 4)),
    'ConvNeXt': dict(arch='tiny', gap_before_final_norm=False, **FOUR),
    'ConvNeXt V2': dict(
        type='mmpretrain.ConvNeXt',
        arch='atto',
        use_grn=True,
        layer_scale_init_value=0.0,
        gap_before_final_norm=False,
        **FOUR,
    ),
    'SwinTransformer': dict(arch='tiny', pad_small_map=True, **FOUR),
    'SwinTransformerV2': dict(arch='tiny', img_size=64, window_size=4, **FOUR)
    | dict(pad_small_map=True),
    'PCPVT': dict(arch='small', **FOUR),
    'SVT': dict(arch='small', **FOUR),
    'PoolFormer': dict(arch='s12', out_indices=(0, 2, 4, 6)),
    'VAN': dict(arch='tiny', **FOUR),
    'EdgeNeXt': dict(arch='xxsmall', gap_before_final_norm=False, **FOUR),
    'HorNet': dict(arch='tiny', gap_before_final_norm=False, **FOUR),
    'DaViT': dict(arch='tiny', pad_small_map=True, **FOUR),
    'MViT': dict(arch='tiny', out_scales=(0, 1, 2, 3)),
    'EfficientFormer': dict(arch='l1', **FOUR),
    'TinyViT': dict(
        arch='5m', gap_before_final_norm=False, img_size=(64, 64), window_size=[2] * 4
    ),
    'ViT': dict(
        type='mmpretrain.VisionTransformer',
        arch='deit-tiny',
        img_size=64,
        out_type='featmap',
    ),
    'ViT DINOv2': dict(
        type='mmpretrain.VisionTransformer',
        arch='dinov2-small',
        img_size=70,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
    ),
    'BEiTViT': dict(arch='base', img_size=64, out_type='featmap', **FOUR),
    'TIMMBackbone': dict(model_name='resnet18', features_only=True),
}
"""mmpretrain's backbones, by the smallest architecture it has."""
BACKBONES = {
    f'mmpretrain {name}': {'type': f'mmpretrain.{name}', **config}
    for name, config in BACKBONES.items()
}


def backbone_segmentor(backbone: dict) -> ConfigDict:
    """Return a segmentor on a backbone, whose head :func:`shrink` completes."""
    return ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor'),
        backbone=copy.deepcopy(backbone),
        # no head: of four features UPerHead, else FCNHead on the last
        decode_head=None,
        test_cfg=dict(mode='whole'),
    )


def shrink(model: dict, num_classes: int, crop: int) -> ConfigDict:
    """Return the config of the same model with few channels and layers.

    What depends on the backbone's channels is set to what the small one gives.

    Args:
        model: Config of a segmentor.
        num_classes: Classes of its heads.
        crop: Height and width of the training crops.
    """
    model = ConfigDict(copy.deepcopy(model))
    if not {'backbone', 'decode_head'} <= set(model):
        return model
    model.pretrained = None
    model.data_preprocessor.size = (crop, crop)
    model.backbone.pop('init_cfg', None)
    if model.decode_head is not None:
        _shrink_backbone(model.backbone, crop)
    widths = _widths(model.backbone, torch.zeros(2, 3, crop, crop))
    if model.decode_head is None:
        model.decode_head = _head_on(widths)
    elif model.get('neck'):
        widths = _fit_neck(model, crop)
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        for head in heads if isinstance(heads, list) else [heads]:
            _fit_head(head, widths, num_classes)
    return model


def _shrink_backbone(backbone: ConfigDict, crop: int) -> None:
    name = backbone.type.split('.')[-1]
    backbone.update(SMALL.get(name, {}))
    if name == 'HRNet':
        for stage in backbone.extra.values():
            branches = stage.num_branches
            stage.update(num_modules=1, num_blocks=(1,) * branches)
            stage.num_channels = tuple(STAGES[:branches])
    if SMALL.get(name) is VIT:
        backbone.img_size = (crop, crop)
        indices = backbone.get('out_indices', -1)
        count = len(indices) if isinstance(indices, (list, tuple)) else 1
        backbone.num_layers = max(count, 2)
        if count > 1:
            backbone.out_indices = tuple(range(count))


def _features(config: dict, inputs: Any) -> list[Any]:
    """Build a backbone or neck and return its outputs."""
    module: Any = MODELS.build(copy.deepcopy(config))
    # mmseg's ResNet returns None here
    module.eval()
    with torch.no_grad():
        found = module(inputs)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _widths(config: dict, inputs: Any) -> list[int]:
    """Return the channels of each output of a backbone or neck."""
    # a transformer may give (map, class token)
    maps = [
        x[0] if isinstance(x, (list, tuple)) else x for x in _features(config, inputs)
    ]
    return [x.shape[1] for x in maps]


def _fit_neck(model: ConfigDict, crop: int) -> list[int]:
    """Set the channels that a neck reads, and return those that it gives."""
    features = _features(model.backbone, torch.zeros(2, 3, crop, crop))
    widths = [x.shape[1] for x in features]
    neck = model.neck
    neck.update(SMALL.get(neck.type, {}))
    if 'embed_dim' in neck:
        neck.embed_dim = widths[0]
    else:
        neck.in_channels = type(neck.in_channels)(widths)
    return _widths(neck, tuple(features))


def _head_on(widths: list[int]) -> dict:
    if len(widths) == 4:
        return dict(
            type='UPerHead',
            in_channels=widths,
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2),
            norm_cfg=dict(type='BN'),
        )
    return dict(type='FCNHead', num_convs=1, norm_cfg=dict(type='BN'))


def _fit_head(head: ConfigDict, widths: list[int], num_classes: int) -> None:
    head.update(SMALL.get(head.type, {}))
    index = head.get('in_index', -1)
    many = isinstance(index, (list, tuple))
    head.in_channels = [widths[i] for i in index] if many else widths[index]
    head.channels = 8
    if head.get('num_convs') == 0:
        head.channels = head.in_channels
    # STDC's detail head tells edges from the rest
    head.num_classes = 2 if head.type == 'STDCHead' else num_classes
    losses = head.get('loss_decode', [])
    for loss in losses if isinstance(losses, list) else [losses]:
        loss.pop('class_weight', None)
