"""The ancillary model: its losses, windows, boxes and messages."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmsemi.models.utils.boxes import boxes_to_mask
from mmsemi.registry import MODELS

SIZE = 33


@pytest.fixture
def config(tiny_segmentor) -> dict:
    tiny_segmentor['type'] = 'BoxConditionedSegmentor'
    tiny_segmentor['decode_head'] |= dict(type='BoxConditionedHead', num_box_classes=3)
    return tiny_segmentor


@pytest.fixture
def build(config):
    def make(**kwargs):
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(copy.deepcopy(config) | kwargs))
        model.init_weights()
        model.decode_head.conv_seg.weight.data.mul_(100)
        for attention in (model.decode_head.low_attention,):
            attention.conv.weight.data.mul_(9)
        return model

    return make


@pytest.fixture
def batch():
    """Return 2 images and their samples, the second without any box."""
    torch.manual_seed(1)
    samples = []
    for number in (3, 0):
        first = torch.randint(0, 20, (number, 2))
        boxes = torch.cat([first, first + torch.randint(5, 20, (number, 2))], 1).float()
        sample = SegDataSample(metainfo=dict(box_classes=('a', 'b', 'c')))
        sample.gt_instances = InstanceData(
            bboxes=boxes,
            labels=torch.arange(1, number + 1),
            areas=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        )
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 4, (1, SIZE, SIZE)))
        sample.set_metainfo(
            dict(ori_shape=(SIZE, SIZE), img_shape=(SIZE, SIZE), img_path='a.jpg')
        )
        samples.append(sample)
    return torch.randn(2, 3, SIZE, SIZE), samples


def scores_by_hand(model, images, samples):
    """The backbone sees the image alone, the head also the maps."""
    maps = torch.stack(
        [
            boxes_to_mask(s.gt_instances.bboxes, s.gt_instances.labels, 3, (SIZE, SIZE))
            for s in samples
        ]
    )
    return model.decode_head([*model.backbone(images), maps])


def test_scores(build, batch):
    model = build().eval()
    expected = scores_by_hand(model, *batch)
    torch.testing.assert_close(model(*batch, mode='tensor'), expected)
    others = copy.deepcopy(batch[1])
    others[0].gt_instances.labels = torch.tensor([3, 1, 2])
    got = model(batch[0], others, mode='tensor')
    assert not torch.allclose(got[0], expected[0], atol=1e-3)
    torch.testing.assert_close(got[1], expected[1])


def test_loss(build, batch):
    auxiliary = dict(
        type='FCNHead',
        in_channels=64,
        in_index=-1,
        channels=8,
        num_classes=4,
        num_convs=1,
    )
    model = build(auxiliary_head=auxiliary).train()
    losses = model(*batch, mode='loss')
    assert {key for key in losses if 'loss' in key} == {
        'decode.loss_ce',
        'aux.loss_ce',
    }
    scores = torch.nn.functional.interpolate(
        scores_by_hand(model, *batch), (SIZE, SIZE), mode='bilinear'
    )
    label = torch.cat([sample.gt_sem_seg.data for sample in batch[1]])
    expected = torch.nn.functional.cross_entropy(scores, label)
    torch.testing.assert_close(losses['decode.loss_ce'], expected)
    model.parse_losses(losses)[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_prediction_whole_and_slide(build, batch):
    images, samples = batch
    whole = build().eval().predict(images, copy.deepcopy(samples))
    one_window = dict(mode='slide', crop_size=(SIZE, SIZE), stride=(SIZE, SIZE))
    same = build(test_cfg=one_window).eval().predict(images, copy.deepcopy(samples))
    for a, b in zip(whole, same, strict=True):
        torch.testing.assert_close(a.seg_logits.data, b.seg_logits.data)
    model = build(
        test_cfg=dict(mode='slide', crop_size=(33, 20), stride=(33, 13))
    ).eval()
    got = model.predict(images[:1], copy.deepcopy(samples[:1]))[0].seg_logits.data
    windows = []
    for left in (0, 13):
        cut = copy.deepcopy(samples[:1])
        cut[0].gt_instances.bboxes -= torch.tensor([left, 0, left, 0])
        scores = model(images[:1, :, :, left : left + 20], cut, mode='tensor')
        scores = torch.nn.functional.interpolate(scores, (33, 20), mode='bilinear')
        windows.append(scores[0])
    expected = torch.cat(
        [
            windows[0][..., :13],
            (windows[0][..., 13:] + windows[1][..., :7]) / 2,
            windows[1][..., 7:],
        ],
        dim=-1,
    )
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ('backbone', 'channels'),
    [
        (dict(type='ResNet', depth=50, base_channels=4, deep_stem=False), (16, 128)),
        (
            dict(
                type='MobileNetV2',
                widen_factor=0.25,
                strides=(1, 2, 2, 1, 1, 1, 1),
                dilations=(1, 1, 1, 2, 2, 4, 4),
                out_indices=(1, 2, 4, 6),
            ),
            (8, 80),
        ),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_any_backbone(backbone, channels, build, config, batch):
    head = config['decode_head'] | dict(c1_in_channels=channels[0])
    head |= dict(in_channels=channels[1])
    norm = dict(type='BN', requires_grad=True)
    stem = dict(stem_channels=4) if backbone['type'] == 'ResNet' else {}
    model = build(backbone=backbone | stem | dict(norm_cfg=norm), decode_head=head)
    assert 'decode.loss_ce' in model.train()(*batch, mode='loss')


def test_messages(build, config, batch):
    model, (images, samples) = build(), batch
    for mode in ('predict', 'tensor'):
        with pytest.raises(ValueError, match='a sample has no boxes: put LoadBoxes'):
            model(images, mode=mode)
    with pytest.raises(ValueError, match='a sample has no boxes: put LoadBoxes'):
        model(images, [samples[0], SegDataSample()], mode='loss')
    samples[1].set_metainfo(dict(box_classes=('a', 'b')))
    message = r'a\.jpg has boxes of 2 classes, but the model was built for 3'
    with pytest.raises(ValueError, match=message):
        model(images, samples, mode='loss')
    with pytest.raises(ValueError, match='got 3 channels, images without the maps'):
        model.inference(images, [sample.metainfo for sample in samples])
    head = config['decode_head'] | dict(type='DepthwiseSeparableASPPHead')
    del head['num_box_classes']
    with pytest.raises(ValueError, match='DepthwiseSeparableASPPHead takes no boxes'):
        build(decode_head=head)
