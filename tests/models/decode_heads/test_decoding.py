"""A segmentor in parts computes what the whole computes."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsemi.models.decode_heads.decoding import (
    decode,
    final_scores,
    score_heads,
    supervised_losses,
)
from mmsemi.registry import MODELS

pytestmark = pytest.mark.usefixtures('default_scope')


@pytest.fixture
def samples():
    torch.manual_seed(1)
    made = []
    for _ in range(2):
        label = torch.randint(0, 4, (1, 33, 33))
        label[:, :3] = 255
        sample = SegDataSample(metainfo=dict(img_shape=(33, 33)))
        sample.gt_sem_seg = PixelData(data=label)
        made.append(sample)
    return made


def fcn(**kwargs):
    return (
        dict(
            type='FCNHead',
            in_channels=32,
            in_index=2,
            channels=8,
            num_convs=1,
            dropout_ratio=0,
            num_classes=4,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
        )
        | kwargs
    )


def plain(cfg):
    return cfg


def with_auxiliary(cfg):
    cfg['auxiliary_head'] = [fcn(), fcn(in_channels=16, in_index=1)]
    return cfg


def cascade(cfg):
    ocr = dict(
        type='OCRHead',
        ocr_channels=4,
        in_channels=64,
        in_index=3,
        channels=8,
        dropout_ratio=0,
        num_classes=4,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    heads = [fcn(), ocr]
    return {**cfg, 'type': 'CascadeEncoderDecoder', 'num_stages': 2} | dict(
        decode_head=heads, auxiliary_head=fcn()
    )


def several_outputs(cfg):
    common = fcn(in_channels=64, in_index=3)
    common.pop('num_convs')
    cfg['decode_head'] = {**common, 'type': 'DAHead', 'pam_channels': 4}
    return cfg


def encoding(cfg):
    common = fcn(in_channels=(8, 16, 32, 64), in_index=(0, 1, 2, 3))
    common.pop('num_convs')
    cfg['decode_head'] = {**common, 'type': 'EncHead', 'num_codes': 4}
    cfg['decode_head'] |= dict(
        use_se_loss=True,
        add_lateral=False,
        loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    return cfg


def build(cfg):
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(copy.deepcopy(cfg)))
    model.init_weights()
    return model


@pytest.mark.parametrize(
    'change', [plain, with_auxiliary, cascade, several_outputs, encoding]
)
def test_losses_and_scores_are_those_of_the_whole(change, tiny_segmentor, samples):
    # running statistics: those of the batch would differ between two and four images
    parts = build(change(tiny_segmentor)).eval()
    images = torch.randn(4, 3, 33, 33)
    expected = parts.loss(images[:2], samples)
    with torch.no_grad():
        whole = parts(images, mode='tensor')
    features = parts.extract_feat(images)
    outputs = decode(parts, features)
    losses = supervised_losses(parts, features, outputs, samples)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    whole = whole[0] if isinstance(whole, tuple) else whole
    scores = final_scores(parts, outputs)
    assert scores.shape[:2] == (4, 4)
    torch.testing.assert_close(scores, whole)


def test_pointrend(tiny_segmentor, samples, point_sample):
    """Its coarse head gives the scores, its points their own loss."""
    tiny_segmentor = cascade(tiny_segmentor)
    point = fcn(in_channels=[8], in_index=[0])
    for name in ('num_convs', 'norm_cfg'):
        point.pop(name)
    point |= dict(type='PointHead', num_fcs=1, coarse_pred_each_layer=True)
    tiny_segmentor['decode_head'][1] = point
    tiny_segmentor['train_cfg'] = dict(
        num_points=20, oversample_ratio=3, importance_sample_ratio=0.75
    )
    model, images = build(tiny_segmentor).eval(), torch.randn(3, 3, 33, 33)
    torch.manual_seed(2)
    expected = model.loss(images[:2], samples)
    features = model.extract_feat(images)
    outputs = decode(model, features)
    torch.manual_seed(2)
    losses = supervised_losses(model, features, outputs, samples)
    assert losses.keys() == expected.keys()
    assert 'decode_1.pointloss_ce' in losses
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    coarse = model.decode_head[0](features)
    torch.testing.assert_close(final_scores(model, outputs), coarse)


def test_segmentor_without_decode_head():
    with pytest.raises(TypeError, match=r'Identity has no decode_head, but.*: use an'):
        score_heads(torch.nn.Identity())
