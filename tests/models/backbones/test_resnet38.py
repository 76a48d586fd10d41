"""ResNet-38 against its published numbers, and against plain functions."""

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.backbones import ResNet38

BLOCKS = 'b2 b2_1 b2_2 b3 b3_1 b3_2 b4 b4_1 b4_2 b4_3 b4_4 b4_5 b5 b5_1 b5_2'.split()


@pytest.fixture(scope='module')
def narrow():
    """Width 1/32, with norms that do something."""
    torch.manual_seed(0)
    net = ResNet38(width=1 / 32)
    net.init_weights()
    for name, value in net.state_dict().items():
        if 'bn' in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return net.eval()


def test_size():
    with torch.device('meta'):
        net = ResNet38()
    names = [name for name, _ in net.named_parameters()]
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == 105.07
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 37
    assert all(m.momentum == 3e-4 for m in norms)
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    assert shapes['conv1a.weight'] == (64, 3, 3, 3)
    assert shapes['b2.conv_branch1.weight'] == (128, 64, 1, 1)
    assert shapes['b4_5.conv_branch2b1.weight'] == (512, 512, 3, 3)
    assert shapes['b5.conv_branch2b1.weight'] == (1024, 512, 3, 3)
    assert shapes['b5_1.conv_branch2a.weight'] == (512, 1024, 3, 3)
    assert shapes['b6.conv_branch2a.weight'] == (512, 1024, 1, 1)
    assert shapes['b6.conv_branch2b1.weight'] == (1024, 512, 3, 3)
    assert shapes['b7.conv_branch2b2.weight'] == (4096, 2048, 1, 1)
    assert shapes['b7.bn_branch2b2.weight'] == (2048,)
    assert shapes['bn7.weight'] == (4096,)
    assert not any(name.endswith('bias') and 'conv' in name for name in names)
    shortcuts = [name.split('.')[0] for name in names if 'conv_branch1' in name]
    assert shortcuts == ['b2', 'b3', 'b4', 'b5', 'b6', 'b7']
    assert (net.b6.dropout_2b1.p, net.b7.dropout_2b2.p) == (0.3, 0.5)


def by_functions(net, x):
    """The table of strides and dilations of the published network, literally."""
    w = net.state_dict()

    def norm(x, name):
        return F.batch_norm(
            x,
            w[f'{name}.running_mean'],
            w[f'{name}.running_var'],
            w[f'{name}.weight'],
            w[f'{name}.bias'],
        ).relu()

    def conv(x, name, stride=1, rate=1):
        weight = w[f'{name}.weight']
        pad = rate * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, None, stride, pad, rate)

    found = {}
    x = conv(x, 'conv1a')
    for name in BLOCKS:
        stride = 2 if name in ('b2', 'b3', 'b4') else 1
        first, rate = {'b5': (1, 2), 'b5_1': (2, 2), 'b5_2': (2, 2)}.get(name, (1, 1))
        h = found[name] = norm(x, f'{name}.bn_branch2a')
        first_block = name in ('b2', 'b3', 'b4', 'b5')
        shortcut = conv(h, f'{name}.conv_branch1', stride) if first_block else x
        y = conv(h, f'{name}.conv_branch2a', stride, first)
        y = norm(y, f'{name}.bn_branch2b1')
        x = conv(y, f'{name}.conv_branch2b1', 1, rate) + shortcut
    for name in ('b6', 'b7'):
        h = found[name] = norm(x, f'{name}.bn_branch2a')
        y = norm(conv(h, f'{name}.conv_branch2a'), f'{name}.bn_branch2b1')
        y = conv(y, f'{name}.conv_branch2b1', rate=4)
        y = conv(norm(y, f'{name}.bn_branch2b2'), f'{name}.conv_branch2b2')
        x = y + conv(h, f'{name}.conv_branch1')
    return found['b5'], found['b6'], norm(x, 'bn7')


@torch.no_grad()
def test_values(narrow):
    images = torch.randn(2, 3, 65, 50)
    found = narrow(images)
    assert [tuple(f.shape) for f in found] == [
        (2, 16, 9, 7),
        (2, 32, 9, 7),
        (2, 128, 9, 7),
    ]
    for one, other in zip(found, by_functions(narrow, images), strict=True):
        torch.testing.assert_close(one, other)
    assert narrow.out_channels == (16, 32, 128)


@torch.no_grad()
def test_channels_are_dropped(narrow):
    block = narrow.b7.train()
    seen = []
    handle = block.conv_branch2b2.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )
    block(torch.rand(1, 64, 4, 4) + 1)
    handle.remove()
    narrow.eval()
    whole = (seen[0] == 0).flatten(2).all(2)
    assert 0 < whole.float().mean() < 1


@pytest.mark.parametrize(
    'frozen, names',
    [(0, set()), (1, {'conv1a', 'b2', 'b2_1', 'b2_2'})],
)
def test_frozen(frozen, names):
    net = ResNet38(width=1 / 64, frozen_stages=frozen).train()
    still = {n.split('.')[0] for n, p in net.named_parameters() if not p.requires_grad}
    assert still == names
    assert net.b2.bn_branch2a.training == (not frozen)
    assert net.b3.bn_branch2a.training
    assert net.b6.dropout_2b1.training


def test_dropout_is_a_choice():
    net = ResNet38(width=1 / 64, dropout=(0.1, 0.2))
    assert (net.b6.dropout_2b2.p, net.b7.dropout_2b1.p) == (0.1, 0.2)


def test_norm_eval_and_affine():
    norm_cfg = dict(type='BN', momentum=0.1, requires_grad=False)
    net = ResNet38(width=1 / 64, norm_cfg=norm_cfg, norm_eval=True).train()
    assert not net.bn7.training and net.b6.dropout_2b1.training
    assert not net.bn7.weight.requires_grad and net.conv1a.weight.requires_grad
    assert net.bn7.momentum == 0.1


@pytest.mark.parametrize('wrong', [dict(width=0), dict(frozen_stages=3)])
def test_errors(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))}='):
        ResNet38(**wrong)
