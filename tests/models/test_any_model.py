"""Every method on mmseg's kinds of segmentors, and why some have none."""

import copy
import logging

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData, LabelData, PixelData
from mmseg.structures import SegDataSample

from mmsemi.models.decode_heads.decoding import list_heads, main_scores
from mmsemi.registry import MODELS

CLASSES, SIZE = 4, 32
NORM = dict(type='BN')
FEATURES = [8, 16, 32, 64]
RESNET = dict(
    type='ResNet',
    depth=18,
    stem_channels=8,
    base_channels=8,
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4),
    norm_cfg=NORM,
)


def head(kind, **kwargs):
    """Return the config of a head on the last of RESNET's features."""
    common = dict(in_channels=64, in_index=3, channels=8, num_classes=CLASSES)
    return dict(common, type=kind, norm_cfg=NORM, align_corners=False, **kwargs)


def fcn(**kwargs):
    return head('FCNHead', **dict(dict(num_convs=1, concat_input=False), **kwargs))


def upernet(channels):
    config = head('UPerHead', pool_scales=(1, 2))
    return config | dict(in_channels=channels, in_index=list(range(len(channels))))


def vit(**kwargs):
    return dict(
        type='VisionTransformer',
        img_size=SIZE,
        patch_size=8,
        embed_dims=12,
        num_layers=4,
        num_heads=2,
        **kwargs,
    )


def on_vit(kind, **kwargs):
    return head(kind, **kwargs) | dict(in_channels=12, in_index=0)


def knet():
    update = dict(
        type='KernelUpdateHead',
        num_classes=CLASSES,
        num_heads=2,
        feedforward_channels=8,
        in_channels=8,
        out_channels=8,
        feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
        kernel_updator_cfg=dict(
            type='KernelUpdator', in_channels=8, feat_channels=8, out_channels=8
        ),
    )
    return dict(
        type='IterativeDecodeHead',
        num_stages=1,
        kernel_update_head=[update],
        kernel_generate_head=fcn(),
    )


# it sees boxes, whatever the primary model is
ANCILLARY = dict(
    type='BoxConditionedSegmentor',
    backbone=RESNET,
    decode_head=head(
        'BoxConditionedHead',
        c1_in_channels=8,
        c1_channels=4,
        dilations=(1, 2),
        num_box_classes=CLASSES - 1,
    ),
)


def self_correct(mode):
    ancillary = None if mode == 'em-fixed' else ANCILLARY
    return dict(type='SelfCorrect', mode=mode, ancillary=ancillary, hidden=6)


METHODS = {
    'MeanTeacher': dict(type='MeanTeacher'),
    'CutMix-Seg': dict(type='MeanTeacher', cutmix=True, consistency='mse'),
    'FixMatch': dict(type='FixMatch', threshold=0.0, cutmix_prob=1.0),
    'CPS': dict(type='CPS', cutmix=True),
    'UniMatch': dict(type='UniMatch', threshold=0.0),
    'U2PL': dict(
        type='U2PL', bank_size=60, bank_size_first=80, num_anchors=7, num_negatives=9
    ),
    'BST': dict(type='BST', branch2=dict()),
    'LPL': dict(type='LPL'),
    **{
        f'SelfCorrect {mode}': self_correct(mode)
        for mode in ('none', 'linear', 'conv', 'em-fixed')
    },
}
# what cannot work, and what is said
REFUSED = {
    ('FCN with two auxiliary heads', 'LPL'): 'auxiliary_head=None, and use no PointR',
    ('PointRend', 'LPL'): 'auxiliary_head=None, and use no PointRend',
}

ALIKE = dict(norm_cfg=NORM, align_corners=False)
SEGMENTORS = {
    'FCN with two auxiliary heads': dict(
        decode_head=fcn(),
        auxiliary_head=[
            fcn(in_index=2) | dict(in_channels=32),
            fcn(in_index=1) | dict(in_channels=16),
        ],
    ),
    'FPN neck': dict(
        neck=dict(type='FPN', in_channels=FEATURES, out_channels=8, num_outs=4),
        decode_head=head('FPNHead', feature_strides=(4, 8, 8, 8))
        | dict(in_channels=[8] * 4, in_index=[0, 1, 2, 3]),
    ),
    # heads that return more than scores
    'DANet': dict(decode_head=head('DAHead', pam_channels=4)),
    'EncNet': dict(
        decode_head=head('EncHead', num_codes=4)
        | dict(in_channels=[16, 32, 64], in_index=(1, 2, 3))
    ),
    'K-Net': dict(decode_head=knet()),
    'DDRNet': dict(
        backbone=dict(type='DDRNet', channels=8, ppm_channels=8, **ALIKE),
        decode_head=head('DDRHead', loss_decode=[dict(type='CrossEntropyLoss')] * 2)
        | dict(in_channels=32),
    ),
    'PIDNet': dict(
        backbone=dict(type='PIDNet', channels=8, ppm_channels=8, **ALIKE),
        decode_head=head(
            'PIDHead',
            loss_decode=[
                dict(type='CrossEntropyLoss'),
                dict(type='OhemCrossEntropy', min_kept=9),
                dict(type='BoundaryLoss'),
                dict(type='OhemCrossEntropy', min_kept=9),
            ],
        )
        | dict(in_channels=32),
    ),
    'OCRNet': dict(
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[fcn(), head('OCRHead', ocr_channels=4)],
    ),
    'PointRend': dict(
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[
            fcn(),
            head('PointHead', num_fcs=1)
            | dict(in_channels=[8], in_index=[0], norm_cfg=None),
        ],
        train_cfg=dict(num_points=16, oversample_ratio=3, importance_sample_ratio=0.75),
        test_cfg=dict(
            mode='whole', subdivision_steps=1, subdivision_num_points=8, scale_factor=2
        ),
    ),
    # transformers
    'SegFormer': dict(
        backbone=dict(
            type='MixVisionTransformer',
            embed_dims=8,
            num_layers=[1, 1, 1, 1],
            num_heads=[1, 2, 4, 8],
        ),
        decode_head=head('SegformerHead')
        | dict(in_channels=FEATURES, in_index=[0, 1, 2, 3]),
    ),
    'Segmenter': dict(
        backbone=vit(final_norm=True),
        decode_head=on_vit(
            'SegmenterMaskTransformerHead', num_layers=1, num_heads=2, embed_dims=12
        )
        # its own, of the transformer
        | dict(norm_cfg=dict(type='LN')),
    ),
    'DPT': dict(
        backbone=vit(out_indices=(0, 1, 2, 3), output_cls_token=True),
        decode_head=head(
            'DPTHead',
            embed_dims=12,
            post_process_channels=[4, 4, 4, 4],
            readout_type='project',
            patch_size=8,
            input_transform='multiple_select',
        )
        | dict(in_channels=[12] * 4, in_index=[0, 1, 2, 3]),
    ),
    'Swin': dict(
        backbone=dict(
            type='SwinTransformer',
            embed_dims=8,
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 4, 8),
            window_size=2,
        ),
        decode_head=upernet(FEATURES),
    ),
    # mmpretrain's
    'ConvNeXt': dict(
        backbone=dict(
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=FEATURES),
            out_indices=[0, 1, 2, 3],
            gap_before_final_norm=False,
        ),
        decode_head=upernet(FEATURES),
    ),
    'DINOv2': dict(
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(
                embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=12
            ),
            img_size=SIZE,
            patch_size=8,
            layer_scale_init_value=1e-5,
            out_type='featmap',
        ),
        decode_head=on_vit('FCNHead', num_convs=1),
    ),
}


@pytest.fixture(autouse=True)
def quiet(default_scope, point_sample):
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    torch.manual_seed(0)
    yield
    logger.setLevel(level)


def segmentor(name):
    config = dict(
        type='EncoderDecoder',
        backbone=RESNET,
        data_preprocessor=dict(type='SegDataPreProcessor', size=(SIZE, SIZE)),
        test_cfg=dict(mode='whole'),
    )
    return ConfigDict(copy.deepcopy(config | SEGMENTORS[name]))


def build(method, config):
    model = MODELS.build(ConfigDict(copy.deepcopy(METHODS[method]), segmentor=config))
    model.init_weights()
    model.set_iter(5, 10)
    return model.train()


@pytest.fixture
def batch():
    """Return two images of each branch with blocks of four classes."""
    generator = torch.Generator().manual_seed(0)
    inputs, samples = {}, {}
    for name in ('sup', 'unsup_teacher', 'unsup_student', 'unsup_student2', 'weak'):
        coarse = 2 * torch.randn(2, 3, 4, 4, generator=generator)
        inputs[name] = torch.nn.functional.interpolate(coarse, (SIZE, SIZE))
        samples[name] = [SegDataSample(), SegDataSample()]
        for sample in samples[name]:
            label = torch.randint(CLASSES, (1, 4, 4), generator=generator)
            label = label.repeat_interleave(8, 1).repeat_interleave(8, 2)
            if name == 'sup':
                sample.gt_sem_seg = PixelData(data=label)
                sample.gt_edge_map = PixelData(data=(label > 1).long())
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[2.0, 3.0, 20.0, 30.0], [8.0, 8.0, 16.0, 31.0]]),
                labels=torch.tensor([1, 3]),
                areas=torch.tensor([486.0, 184.0]),
            )
            sample.gt_tags = LabelData(item=torch.tensor([True, True, False, True]))
            sample.valid = PixelData(data=torch.ones(1, SIZE, SIZE, dtype=torch.bool))
            sample.set_metainfo(dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
    return inputs, samples


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('name', SEGMENTORS)
def test_trains_and_predicts(name, method, batch):
    if (name, method) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, method]):
            build(method, segmentor(name))
        return
    model = build(method, segmentor(name))
    losses = model(*(batch if model.branches else labeled(batch)), mode='loss')
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    total.backward()
    idle = expected_idle(segmentor(name), batch, own_loss=method != 'LPL')
    for part, network in model.networks().items():
        if part not in model.followers:
            grads = {n: p.grad for n, p in network.named_parameters()}
            assert {n for n, grad in grads.items() if grad is None} == idle
            assert all(g is None or g.isfinite().all() for g in grads.values())
    model.eval()
    images, samples = labeled(batch)
    for part in model.predictors():
        with torch.no_grad(), model.predicting_on(part):
            scores = model(images, samples, mode='tensor')
            (sample, _) = model(images, samples, mode='predict')
        assert scores.dim() == 4 and scores.shape[:2] == (2, CLASSES)
        assert sample.pred_sem_seg.data.shape == (1, SIZE, SIZE)


def labeled(batch):
    """Return the images with masks, as a batch of one branch."""
    return batch[0]['sup'], batch[1]['sup']


def expected_idle(config, batch, own_loss=True):
    """Return the parameters that the plain segmentor's own loss does not reach.

    Or, without ``own_loss``, the scores that it predicts with.
    """
    plain = MODELS.build(config).train()
    images, samples = labeled(batch)
    if own_loss:
        losses = plain.loss(images, samples)
        total = sum(v.sum() for k, v in losses.items() if 'loss' in k)
    else:
        heads = list_heads(plain.decode_head)
        total = main_scores(heads[-1], plain(images, mode='tensor')).sum()
    total.backward()
    return {n for n, p in plain.named_parameters() if p.grad is None}


def freeze_layers(network):
    """Normalise and drop as in prediction; the heads' outputs are training's."""
    for module in network.modules():
        if not list(module.children()):
            module.eval()


@pytest.mark.parametrize('name', SEGMENTORS)
@pytest.mark.parametrize('method, weight', [('SelfCorrect conv', 1), ('FixMatch', 0.5)])
def test_supervised_losses_are_those_of_mmseg(name, method, weight, batch):
    """Also where methods run features and heads apart, with other images beside."""
    model = build(method, segmentor(name))
    freeze_layers(model.first_network)
    torch.manual_seed(1)
    losses = model(*batch, mode='loss')
    torch.manual_seed(1)
    expected = model.first_network.loss(*labeled(batch))
    assert {f'sup.{key}' for key in expected} == {k for k in losses if k[:4] == 'sup.'}
    for key, value in expected.items():
        found = losses[f'sup.{key}']
        torch.testing.assert_close(found, value * weight if 'loss' in key else value)


@pytest.mark.parametrize('name', ['DANet', 'EncNet', 'K-Net', 'DDRNet', 'PIDNet'])
def test_scores_of_training_are_those_that_predict(name, batch):
    """Of several outputs, the one that mmseg's own prediction shows."""
    model = build('MeanTeacher', segmentor(name))
    freeze_layers(model.student)
    images = batch[0]['sup']
    with torch.no_grad():
        assert model.student.training and model.student.decode_head.training
        found = model.student(images, mode='tensor')
        assert isinstance(found, torch.Tensor)
        model.student.eval()
        metas = [sample.metainfo for sample in batch[1]['sup']]
        expected = model.student.encode_decode(images, metas)
    found = torch.nn.functional.interpolate(
        found, (SIZE, SIZE), mode='bilinear', align_corners=False
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('kind', ['MeanTeacher', 'U2PL'])
@pytest.mark.parametrize(
    'part, message',
    [
        (dict(decode_head=dict(type='Mask2FormerHead')), 'predicts masks and a class'),
        (dict(type='DepthEstimator'), 'DepthEstimator predicts depths and not classes'),
        (dict(type='MultimodalEncoderDecoder'), 'matches them with class names'),
    ],
)
def test_segmentor_without_class_scores(part, message, kind):
    config = segmentor('OCRNet') | dict(decode_head=fcn()) | part
    with pytest.raises(ValueError, match=f'{message}.*class scores of every pixel'):
        MODELS.build(ConfigDict(METHODS[kind], segmentor=config))


def test_representation_needs_a_decode_head():
    config = segmentor('OCRNet')
    del config['decode_head']
    with pytest.raises(ValueError, match="'CascadeEncoderDecoder' has no decode_head"):
        MODELS.build(ConfigDict(METHODS['U2PL'], segmentor=config))


@pytest.mark.parametrize(
    'output, found',
    [
        ([], 'list'),
        ((torch.zeros(2, 4),), r'Tensor of shape \(2, 4\)'),
        (dict(scores=1), 'dict'),
    ],
)
def test_output_without_scores(output, found):
    with pytest.raises(TypeError, match=f'Identity gave a {found}, but.*every pixel'):
        main_scores(torch.nn.Identity(), output)


@pytest.mark.parametrize('own', [True, False])
def test_preprocessor_of_the_config(own):
    """What mmengine's runner adds to a method is meant for a segmentor."""
    config, size = segmentor('OCRNet'), (SIZE, SIZE)
    if not own:
        del config['data_preprocessor']
        size = (8, 8)
    plain = dict(type='SegDataPreProcessor', size=(8, 8))
    model = MODELS.build(
        dict(type='MeanTeacher', segmentor=config, data_preprocessor=plain)
    )
    images = [torch.zeros(3, 8, 8), torch.zeros(3, 8, 8)]
    samples = [SegDataSample() for _ in images]
    batch = dict(inputs=dict(sup=images), data_samples=dict(sup=samples))
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 8, 8))
    found = model.data_preprocessor(batch, True)
    assert found['inputs']['sup'].shape == (2, 3, *size)


def avc(backbone, channels):
    """Return AVC, with the term, on the backbone of one of the segmentors."""
    head = dict(type='CamHead', in_channels=channels, affinity_channels=4)
    return MODELS.build(
        ConfigDict(
            type='AVC',
            backbone=copy.deepcopy(segmentor(backbone).backbone),
            head=dict(head, num_classes=CLASSES - 1),
            data_preprocessor=dict(type='SegDataPreProcessor', size=(SIZE, SIZE)),
            warmup=0,
        )
    )


@pytest.mark.parametrize(
    'name, channels',
    [
        ('OCRNet', 64),
        ('SegFormer', 64),
        ('Segmenter', 12),
        ('Swin', 64),
        ('ConvNeXt', 64),
        ('DINOv2', 12),
    ],
)
def test_avc_on_any_backbone(name, channels, batch):
    model = avc(name, channels)
    model.init_weights()
    model.set_iter(5, 10)
    images, samples = labeled(batch)
    losses = model.train()(images, samples, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert {'loss_cls', 'loss_consistency'} <= losses.keys() and total.isfinite()
    plain = MODELS.build(segmentor(name).backbone)
    plain.train()  # mmseg's returns None
    plain(images)[-1].sum().backward()
    idle = {n for n, p in plain.named_parameters() if p.grad is None}
    grads = {n: p.grad for n, p in model.backbone.named_parameters()}
    assert {n for n, grad in grads.items() if grad is None} == idle
    model.eval()
    with torch.no_grad():
        (sample, _) = model(images, samples, mode='predict')
        maps = model.cams(images, (8, 8), scales=(1.0,), refine=True)
    assert sample.pred_score.shape == (CLASSES - 1,)
    assert maps.shape == (2, CLASSES - 1, 8, 8) and maps.isfinite().all()


@pytest.mark.parametrize('name', ['DDRNet', 'PIDNet'])
def test_avc_needs_one_kind_of_features(name):
    with pytest.raises(ValueError, match=f'{name} gives other features in training'):
        avc(name, 32)


def test_avc_needs_maps(batch):
    message = r'CamHead read a (tuple|list) at in_index=-1, but it classifies maps'
    with pytest.raises(TypeError, match=message):
        avc('DPT', 12)(*labeled(batch), mode='loss')


def test_avc_needs_a_head_that_classifies_images(batch):
    with pytest.raises(ValueError, match='by their tags, but its head is FCNHead: use'):
        MODELS.build(
            dict(
                type='AVC',
                backbone=RESNET,
                head=fcn(),
                data_preprocessor=dict(type='SegDataPreProcessor'),
            )
        )
    model = MODELS.build(
        dict(
            type='AVC',
            backbone=RESNET,
            head=dict(type='ConformerCamHead', num_classes=3, in_channels=(8, 8)),
            data_preprocessor=dict(type='SegDataPreProcessor'),
        )
    )
    with pytest.raises(TypeError, match='use ConformerCam, or CamHead for this backb'):
        model(*labeled(batch), mode='loss')
