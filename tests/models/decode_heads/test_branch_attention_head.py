"""Branch attention against its definition, and in mmseg's head."""

import copy

import pytest
import torch
from torch import nn

from mmsemi.models import BranchAttention
from mmsemi.registry import MODELS

HEAD = dict(
    in_channels=12,
    in_index=3,
    channels=8,
    dilations=(1, 2, 3),
    c1_in_channels=6,
    c1_channels=4,
    num_classes=3,
    norm_cfg=dict(type='BN'),
)


def attention(channels: int = 12, groups: int = 3, seed: int = 0) -> BranchAttention:
    """Return one whose norm is no identity."""
    torch.manual_seed(seed)
    module = BranchAttention(channels, groups)
    nn.init.normal_(module.gn.weight)
    nn.init.normal_(module.gn.bias)
    return module


def definition(module: BranchAttention, x: torch.Tensor) -> torch.Tensor:
    """Compute BST's BCEA group by group, as the specification has it."""
    out = torch.empty_like(x)
    n = x.shape[1] // module.groups
    weight, bias = module.conv1x1.weight[:, :, 0, 0], module.conv1x1.bias
    for image in range(len(x)):
        for first in range(0, x.shape[1], n):
            group = x[image, first : first + n]
            row_gate = (weight @ group.mean(2) + bias[:, None]).sigmoid()
            column_gate = (weight @ group.mean(1) + bias[:, None]).sigmoid()
            x1 = group * row_gate[:, :, None] * column_gate[:, None, :]
            for c in range(n):
                spread = (x1[c].var(unbiased=False) + 1e-5).sqrt()
                x1[c] = (x1[c] - x1[c].mean()) / spread * module.gn.weight[c]
                x1[c] += module.gn.bias[c]
            x2 = module.conv3x3(group[None])[0]
            a1, a2 = x1.mean((1, 2)).softmax(0), x2.mean((1, 2)).softmax(0)
            s = sum(a1[c] * x2[c] + a2[c] * x1[c] for c in range(n))
            out[image, first : first + n] = group * s.sigmoid()
    return out


@pytest.mark.parametrize('size', [(7, 5), (1, 1), (1, 6), (4, 9)])
@pytest.mark.parametrize(('channels', 'groups'), [(12, 3), (8, 8), (6, 1)])
def test_matches_definition(channels, groups, size):
    module = attention(channels, groups).double()
    x = torch.randn(2, channels, *size, dtype=torch.double)
    with torch.no_grad():
        torch.testing.assert_close(module(x), definition(module, x))


def test_bits_of_the_source():
    """The source pools with adaptive pools and shares one batched product."""
    module = attention(64, 32)
    x = torch.randn(2, 64, 9, 7)
    pool = nn.functional.adaptive_avg_pool2d
    with torch.no_grad():
        g = x.reshape(64, 2, 9, 7)
        pooled = torch.cat([pool(g, (9, 1)), pool(g, (1, 7)).permute(0, 1, 3, 2)], 2)
        h, w = module.conv1x1(pooled).split([9, 7], dim=2)
        x1 = module.gn(g * h.sigmoid() * w.permute(0, 1, 3, 2).sigmoid())
        x2 = module.conv3x3(g)
        a1, a2 = (
            pool(f, (1, 1)).reshape(64, -1, 1).permute(0, 2, 1).softmax(-1)
            for f in (x1, x2)
        )
        s = torch.matmul(a1, x2.reshape(64, 2, -1))
        s = s + torch.matmul(a2, x1.reshape(64, 2, -1))
        expected = (g * s.reshape(64, 1, 9, 7).sigmoid()).reshape(2, 64, 9, 7)
        assert torch.equal(module(x), expected)


def test_parameters_are_those_of_the_source():
    module = BranchAttention(1280)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert shapes == {
        'gn.weight': (40,),
        'gn.bias': (40,),
        'conv1x1.weight': (40, 40, 1, 1),
        'conv1x1.bias': (40,),
        'conv3x3.weight': (40, 40, 3, 3),
        'conv3x3.bias': (40,),
    }
    assert sum(p.numel() for p in module.parameters()) == 16160


def test_first_softmax_does_not_see_the_image():
    module = attention()
    images = torch.randn(2, 4, 6, 6)
    means = module.gn(images * torch.rand(2, 4, 6, 6)).mean((2, 3))
    torch.testing.assert_close(means, module.gn.bias.expand(2, 4), atol=1e-6, rtol=0)


def test_gradcheck():
    module = attention(4, 2).double()
    x = torch.randn(1, 4, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_half_precision():
    module = attention()
    x = torch.randn(1, 12, 6, 5)
    expected = module(x)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(module(x), expected)
        got = module(x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, atol=0.02, rtol=0.02)
    assert copy.deepcopy(module).bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('channels', 'groups', 'remedy'), [(304, 32, 16), (8, 0, 8), (30, 7, 1)]
)
def test_channels_that_cannot_be_split(channels, groups, remedy):
    message = f'{channels} channels cannot be split into {groups} .*e.g. {remedy}$'
    with pytest.raises(ValueError, match=message):
        BranchAttention(channels, groups)


# in mmseg's head ----------------------------------------------------------------------


@pytest.fixture
def features() -> list[torch.Tensor]:
    torch.manual_seed(1)
    sizes = ((6, 16), (8, 8), (10, 4), (12, 4))
    return [torch.randn(2, channels, size, size) for channels, size in sizes]


@pytest.mark.parametrize('decoder', [True, False])
def test_head_is_mmsegs_where_the_attention_does_nothing(
    decoder, features, default_scope
):
    cfg = dict(HEAD) if decoder else dict(HEAD, c1_in_channels=0, c1_channels=0)
    plain = MODELS.build(dict(cfg, type='DepthwiseSeparableASPPHead')).eval()
    cfg |= dict(type='BranchAttentionSepASPPHead', attention_groups=4)
    head = MODELS.build(cfg).eval()
    report = head.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert {key.split('.')[0] for key in report.missing_keys} == {'attention'}
    expected = plain(features)
    assert not torch.allclose(head(features), expected)
    head.attention = nn.Identity()
    assert torch.equal(head(features), expected)


def test_head_attends_to_the_branches_before_the_bottleneck(features, default_scope):
    head = MODELS.build(
        dict(HEAD, type='BranchAttentionSepASPPHead', attention_groups=4)
    ).eval()
    plain = MODELS.build(dict(HEAD, type='DepthwiseSeparableASPPHead')).eval()
    plain.load_state_dict(head.state_dict(), strict=False)
    # the plain head, with its bottleneck behind the same attention
    plain.bottleneck = nn.Sequential(head.attention, plain.bottleneck)
    torch.testing.assert_close(head(features), plain(features))


def test_head_with_channels_that_cannot_be_split(default_scope):
    cfg = dict(HEAD, type='BranchAttentionSepASPPHead')
    with pytest.raises(ValueError, match='32 channels cannot be split into 5 groups'):
        MODELS.build(dict(cfg, attention_groups=5))
