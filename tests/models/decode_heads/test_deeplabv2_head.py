"""DeepLabV2's head against a loop over its branches and taps."""

import pytest
import torch

from mmsemi.registry import MODELS


@pytest.fixture
def head(default_scope):
    torch.manual_seed(0)
    cfg = dict(type='DeepLabV2Head', in_channels=3, in_index=1, num_classes=4)
    return MODELS.build(cfg).double()


def test_sum_of_dilated_classifiers(head):
    x = torch.randn(2, 3, 9, 7, dtype=torch.double)
    expected = torch.zeros(2, 4, 9, 7, dtype=torch.double)
    for conv, dilation in zip(head.conv_seg, (6, 12, 18, 24), strict=True):
        expected += conv.bias.view(4, 1, 1)
        for i in range(9):
            for j in range(7):
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        row, column = i + di * dilation, j + dj * dilation
                        if 0 <= row < 9 and 0 <= column < 7:
                            weight = conv.weight[:, :, di + 1, dj + 1]
                            expected[:, :, i, j] += x[:, :, row, column] @ weight.T
    torch.testing.assert_close(head([None, x]), expected)


def test_starts_near_zero_and_has_only_the_classifiers(head):
    head.init_weights()
    names = {f'conv_seg.{i}.{kind}' for i in range(4) for kind in ('weight', 'bias')}
    assert set(head.state_dict()) == names
    for conv in head.conv_seg:
        assert conv.weight.std().item() == pytest.approx(0.01, rel=0.3)
        assert not conv.bias.any()
