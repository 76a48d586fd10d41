"""The box-conditioned head, layer by layer, and its parts of mmseg."""

import copy

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from mmsemi.models.decode_heads.box_conditioned_head import BoxAttention
from mmsemi.registry import MODELS

HEAD = dict(
    type='BoxConditionedHead',
    num_box_classes=3,
    in_channels=12,
    in_index=-1,
    channels=8,
    dilations=(1, 2),
    c1_in_channels=6,
    c1_channels=4,
    num_classes=4,
    norm_cfg=dict(type='BN'),
)


@pytest.fixture(autouse=True)
def scope(default_scope):
    torch.manual_seed(0)


@pytest.fixture
def inputs():
    """Return two features and the maps of boxes."""
    mask = (torch.rand(2, 4, 33, 35) < 0.5).float()
    return [torch.randn(2, 6, 9, 10), torch.randn(2, 12, 5, 5), mask]


def gate(attention, mask, size):
    """Resize to the pixel below each centre, convolve and squash, by hand."""
    height, width = mask.shape[2:]
    rows = [int((i + 0.5) * height / size[0]) for i in range(size[0])]
    columns = [int((j + 0.5) * width / size[1]) for j in range(size[1])]
    small = mask[:, :, rows][:, :, :, columns]
    assert attention.conv.weight.shape[1:] == (4, 3, 3)
    x = conv2d(small, attention.conv.weight, attention.conv.bias, padding=1)
    return 1 / (1 + torch.exp(-x))


def test_attention(inputs):
    attention = BoxAttention(3, 6)
    low, _, mask = inputs
    torch.testing.assert_close(
        attention(low, mask), low * gate(attention, mask, (9, 10))
    )


def test_attention_at_both_scales(inputs):
    """Each with its own convolution, before the projection and behind the ASPP."""
    head = MODELS.build(HEAD).eval()
    low, high, mask = inputs
    size = dict(mode='bilinear', align_corners=False)
    pooled = head.image_pool(high).expand(-1, -1, 5, 5)
    x = head.bottleneck(torch.cat([pooled, *head.aspp_modules(high)], 1))
    x = x * gate(head.high_attention, mask, (5, 5))
    low = head.c1_bottleneck(low * gate(head.low_attention, mask, (9, 10)))
    x = head.sep_bottleneck(torch.cat([interpolate(x, (9, 10), **size), low], 1))
    expected = conv2d(x, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head(inputs), expected)


def test_is_mmsegs_head_where_the_gates_are_open(inputs):
    head = MODELS.build(HEAD).eval()
    plain = copy.deepcopy(HEAD) | dict(type='DepthwiseSeparableASPPHead')
    del plain['num_box_classes']
    plain = MODELS.build(plain).eval()
    report = plain.load_state_dict(head.state_dict(), strict=False)
    assert not report.missing_keys
    assert sorted(report.unexpected_keys) == sorted(
        f'{scale}_attention.conv.{kind}'
        for scale in ('low', 'high')
        for kind in ('weight', 'bias')
    )
    for attention in (head.low_attention, head.high_attention):
        attention.conv.weight.data.zero_()
        attention.conv.bias.data.fill_(100)
    torch.testing.assert_close(head(inputs), plain(inputs[:-1]))


def test_sizes_of_the_paper():
    full = dict(in_channels=2048, c1_in_channels=256, c1_channels=48, channels=256)
    head = MODELS.build(HEAD | full | dict(num_classes=21, num_box_classes=20))
    for attention in (head.low_attention, head.high_attention):
        assert attention.conv.weight.shape == (256, 21, 3, 3)
        assert attention.conv.bias.shape == (256,)


def test_background_or_not():
    for number in (3, 4):
        assert MODELS.build(HEAD | dict(num_box_classes=number))
    for number in (0, 2, 5):
        with pytest.raises(ValueError, match=rf'={number}, but of 4 classes 3 have'):
            MODELS.build(HEAD | dict(num_box_classes=number))
    with pytest.raises(ValueError, match='c1_in_channels is 0'):
        MODELS.build(HEAD | dict(c1_in_channels=0, c1_channels=0))
