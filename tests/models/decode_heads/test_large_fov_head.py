"""LargeFOV on ResNet-38."""

import torch
import torch.nn.functional as F

from mmsemi.models.decode_heads import LargeFOVHead

NORM = dict(type='BN', momentum=3e-4, requires_grad=False)


def build(**kwargs):
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    return LargeFOVHead(norm_cfg=NORM, loss_decode=loss, **kwargs)


def test_size():
    with torch.device('meta'):
        head = build(in_channels=4096, num_classes=21)
    shapes = {name: tuple(p.shape) for name, p in head.named_parameters()}
    assert shapes['conv_fov.conv.weight'] == (512, 4096, 3, 3)
    assert shapes['conv_fov2.conv.weight'] == (512, 512, 1, 1)
    assert shapes['conv_seg.weight'] == (21, 512, 1, 1) and 'conv_seg.bias' in shapes
    assert 'conv_fov.conv.bias' not in shapes
    # 124.22 million with the backbone's 105.07
    assert round(sum(p.numel() for p in head.parameters()) / 1e6, 2) == 19.15
    assert head.align_corners and type(head.dropout) is torch.nn.Dropout
    assert head.dropout.p == 0.5
    assert head.conv_fov.bn.momentum == 3e-4
    assert not head.conv_fov.bn.weight.requires_grad


@torch.no_grad()
def test_values():
    torch.manual_seed(0)
    head = build(in_channels=5, channels=4, num_classes=3).eval()
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value))
    feature = torch.randn(2, 5, 14, 13)
    w = head.state_dict()

    def norm(x, name):
        names = ('running_mean', 'running_var', 'weight', 'bias')
        return F.batch_norm(x, *(w[f'{name}.bn.{n}'] for n in names)).relu()

    x = F.conv2d(feature, w['conv_fov.conv.weight'], padding=12, dilation=12)
    x = norm(x, 'conv_fov')
    x = norm(F.conv2d(x, w['conv_fov2.conv.weight']), 'conv_fov2')
    x = F.conv2d(x, w['conv_seg.weight'], w['conv_seg.bias'])
    torch.testing.assert_close(head([feature]), x)
