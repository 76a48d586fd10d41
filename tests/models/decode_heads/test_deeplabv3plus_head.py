"""ST++'s DeepLabV3+ head, layer by layer."""

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from mmsemi.models import BranchAttention
from mmsemi.registry import MODELS

FULL = dict(
    type='DeepLabV3PlusHead',
    in_channels=2048,
    in_index=3,
    c1_in_channels=256,
    num_classes=21,
    norm_cfg=dict(type='BN'),
)
SMALL = FULL | dict(
    in_channels=12,
    c1_in_channels=6,
    c1_channels=4,
    channels=8,
    dilations=(1, 2, 3),
    num_classes=3,
)


@pytest.fixture(autouse=True)
def scope(default_scope):
    torch.manual_seed(0)


@pytest.fixture
def features() -> list[torch.Tensor]:
    sizes = ((6, 17), (8, 9), (10, 5), (12, 5))
    return [torch.randn(2, channels, size, size) for channels, size in sizes]


def layer(head: nn.Module, name: str, x: torch.Tensor, dilation: int = 1):
    """Convolve, normalise with the running statistics and rectify, by hand."""
    module = head.get_submodule(name)
    weight, norm = module.conv.weight, module.bn
    assert module.conv.bias is None
    padding = dilation * (weight.shape[2] // 2)
    x = nn.functional.conv2d(x, weight, padding=padding, dilation=dilation)
    mean, var, scale, shift = (
        values.view(-1, 1, 1)
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return ((x - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)


@pytest.mark.parametrize('attention', [None, dict(groups=4)])
def test_matches_the_released_decoder(attention, features):
    head = MODELS.build(SMALL | dict(attention=attention)).eval()
    for norm in head.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                values.data.uniform_(0.5, 1.5)
    low, x = features[0], features[3]
    size = dict(mode='bilinear', align_corners=True)
    branches = [layer(head, f'aspp.{i}', x, d) for i, d in enumerate((1, 2, 3))]
    pooled = layer(head, 'image_pool.1', x.mean((2, 3), keepdim=True))
    joined = torch.cat([*branches, pooled.expand_as(branches[0])], 1)
    if attention:
        joined = head.attention(joined)
    x = interpolate(layer(head, 'project.0', joined), (17, 17), **size)
    x = torch.cat([layer(head, 'reduce', low), x], 1)
    x = layer(head, 'fuse.1', layer(head, 'fuse.0', x))
    expected = nn.functional.conv2d(x, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head(features), expected)


def test_parameters_are_those_of_the_released_model():
    def count(**kwargs):
        return sum(p.numel() for p in MODELS.build(FULL | kwargs).parameters())

    # 40.352 M in all with a ResNet-50, whose features have 23.508 M
    assert round((count() + 23_508_032) / 1e6, 3) == 40.352
    # the released second network has 846 more, which it never uses
    assert round((count(attention=dict(groups=32)) + 23_508_032 + 846) / 1e6, 3) == (
        40.369
    )


def test_dilations_dropouts_and_corners():
    head = MODELS.build(FULL)
    convs = [module.conv for module in head.aspp]
    assert [conv.kernel_size[0] for conv in convs] == [1, 3, 3, 3]
    assert [conv.dilation[0] for conv in convs] == [1, 12, 24, 36]
    assert type(head.project[1]) is nn.Dropout2d and head.project[1].p == 0.5
    assert type(head.dropout) is nn.Dropout and head.dropout.p == 0.1
    assert head.align_corners is True
    assert not any(isinstance(m, BranchAttention) for m in head.modules())


def test_without_dropout(features):
    head = MODELS.build(SMALL | dict(dropout_ratio=0, aspp_dropout_ratio=0)).train()
    assert torch.equal(head(features), head(features))


def test_wrong_attention():
    with pytest.raises(ValueError, match='32 channels cannot be split into 6 groups'):
        MODELS.build(SMALL | dict(attention=dict(groups=6)))
    with pytest.raises(TypeError, match='group'):
        MODELS.build(SMALL | dict(attention=dict(group=4)))
