import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from torch import nn

from mmsemi.models.utils.tta import tta_probabilities
from mmsemi.registry import MODELS


class TinyNet(nn.Module):
    """A convolution of stride 2; it is neither symmetric nor scale-free."""

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.align_corners = align_corners

    def forward(self, x):
        self.seen = [*getattr(self, 'seen', []), tuple(x.shape[-2:])]
        return 3 * self.conv(x)


def slow(net, image, scales, flip, size, divisor, fuse='softmax', tags=None):
    """One image, one view, one numpy-like step at a time, as ST++ and LPL write it."""
    corners = net.align_corners
    height, width = image.shape[-2:]
    views = []
    for s in scales:
        for flipped in [False, True][: 1 + flip]:
            h, w = int(height * s), int(width * s)
            x = F.interpolate(
                image[None], (h, w), mode='bilinear', align_corners=corners
            )
            if flipped:
                x = x[..., torch.arange(w - 1, -1, -1)]
            full_h = math.ceil(h / divisor) * divisor
            full_w = math.ceil(w / divisor) * divisor
            canvas = torch.zeros(1, 3, full_h, full_w)
            canvas[..., :h, :w] = x
            logits = F.interpolate(
                3 * net.conv(canvas),
                (full_h, full_w),
                mode='bilinear',
                align_corners=corners,
            )[..., :h, :w]
            seen = logits
            if fuse == 'softmax':
                seen = logits.exp() / logits.exp().sum(1, keepdim=True)
            if flipped:
                seen = seen[..., torch.arange(w - 1, -1, -1)]
            views.append(
                F.interpolate(seen, size, mode='bilinear', align_corners=corners)[0]
            )
    prob = torch.stack(views).mean(0)
    if fuse == 'logits':
        prob = prob.exp() / prob.exp().sum(0)
    for c in range(len(prob)) if tags is not None and tags.any() else ():
        prob[c] *= float(tags[c])
    return prob / prob.sum(0)


@pytest.mark.parametrize('fuse', ['softmax', 'logits'])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    ('scales', 'flip', 'size', 'divisor'),
    [
        ((1.0,), False, None, 1),
        ((1.0,), True, (11, 9), 1),
        ((0.5, 0.75, 1.0, 1.5, 2.0), True, None, 1),
        ((0.75, 1.5), True, (30, 21), 8),
    ],
)
@pytest.mark.parametrize('tagged', [False, True])
def test_matches_a_slow_loop(scales, flip, size, divisor, align_corners, fuse, tagged):
    net = TinyNet(align_corners)
    images = torch.randn(3, 3, 13, 18)
    before = images.clone()
    # the last image has no tag at all: it may have any class
    tags = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]]).bool()
    rows = tags if tagged else [None] * 3
    with torch.no_grad():
        got = tta_probabilities(
            net,
            images,
            scales=scales,
            flip=flip,
            size=size,
            size_divisor=divisor,
            fuse=fuse,
            tags=tags if tagged else None,
        )
        expected = torch.stack(
            [
                slow(net, x, scales, flip, size or (13, 18), divisor, fuse, row)
                for x, row in zip(images, rows, strict=True)
            ]
        )
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got.sum(1), torch.ones_like(got[:, 0]))
    assert torch.equal(images, before)


def test_sizes_of_the_views():
    net = TinyNet()
    with torch.no_grad():
        tta_probabilities(
            net, torch.randn(1, 3, 13, 18), scales=(0.5, 1), flip=True, size_divisor=4
        )
    # int(6.5) = 6 and 9, padded to 8 and 12; 13 and 18 to 16 and 20
    assert net.seen == [(8, 12)] * 2 + [(16, 20)] * 2


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_predicts_as_the_segmentor_does(mode, tiny_segmentor, default_scope):
    cfg = copy.deepcopy(tiny_segmentor)
    if mode == 'slide':
        cfg['test_cfg'] = dict(mode='slide', crop_size=(24, 24), stride=(16, 16))
    torch.manual_seed(0)
    net = MODELS.build(ConfigDict(cfg)).eval()
    images = torch.randn(2, 3, 33, 40)
    metas = [dict(ori_shape=(33, 40), img_shape=(33, 40)) for _ in images]
    with torch.no_grad():
        got = tta_probabilities(net, images)
        expected = net.inference(images, metas).softmax(1)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize('fuse', ['softmax', 'logits'])
def test_half_precision_is_summed_in_float32(fuse):
    class Half(nn.Module):
        def forward(self, x):
            return x[:, :2].half()

    got = tta_probabilities(Half(), torch.randn(1, 3, 4, 4), flip=True, fuse=fuse)
    assert got.dtype == torch.float32


def test_what_the_network_returned_is_not_written_into():
    images = torch.randn(1, 3, 4, 4)
    before = images.clone()
    tta_probabilities(nn.Identity(), images, flip=True, fuse='logits')
    assert torch.equal(images, before)


@pytest.mark.parametrize('fuse', ['softmax', 'logits'])
def test_a_tagged_class_is_chosen_however_unlikely_it_is(fuse):
    class Certain(nn.Module):
        def forward(self, x):
            return x.new_tensor([3e4, 0, -1, 0])[:, None, None].expand(1, 4, 5, 5)

    tags = torch.tensor([[False, False, True, True]])
    got = tta_probabilities(
        Certain(), torch.zeros(1, 3, 5, 5), flip=True, fuse=fuse, tags=tags
    )
    assert got.isfinite().all() and not got[:, :2].any()
    torch.testing.assert_close(got.sum(1), torch.ones(1, 5, 5))
    if fuse == 'logits':
        assert (got.argmax(1) == 3).all()


def test_unknown_fuse():
    with pytest.raises(ValueError, match=r"fuse='mean': choose one of \['softmax',"):
        tta_probabilities(TinyNet(), torch.zeros(1, 3, 4, 4), fuse='mean')


def test_tags_of_other_classes():
    tags = torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r'tags has shape \(1, 3\), but \(1, 4\)'):
        tta_probabilities(TinyNet(), torch.zeros(1, 3, 4, 4), tags=tags)


@pytest.mark.parametrize('scales', [(), (1.0, 0.0), (-1,)])
def test_bad_scales(scales):
    with pytest.raises(ValueError, match=r'scales=\[.*\]: give at least one number'):
        tta_probabilities(TinyNet(), torch.zeros(1, 3, 4, 4), scales=scales)


def test_one_output_channel():
    net = nn.Conv2d(3, 1, 1)
    with pytest.raises(ValueError, match='one output channel'):
        tta_probabilities(net, torch.zeros(1, 3, 4, 4))
