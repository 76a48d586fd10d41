"""What tests of several kinds of models share."""

import pytest
import torch
from mmseg.models.decode_heads import point_head
from torch import Tensor


@pytest.fixture
def point_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PointRend run where mmcv has no compiled operators."""
    monkeypatch.setattr(point_head, 'point_sample', sample_points)


def sample_points(
    feature: Tensor, points: Tensor, align_corners: bool = False, mode: str = 'bilinear'
) -> Tensor:
    """Read (N, C, H, W) at points (N, P, 2) in [0, 1], as mmcv's operator."""
    grid = 2 * points[:, :, None] - 1
    found = torch.nn.functional.grid_sample(
        feature, grid, mode=mode, align_corners=align_corners
    )
    return found[..., 0]
