"""The walk of an image's seeds, step by step."""

import numpy as np
import pytest
import torch
from torch import nn

from mmsemi.labeling.random_walk import walk_scores
from mmsemi.models.utils.affinity import affinity_matrix


class Net(nn.Module):
    """A feature at stride 8."""

    radius = 3

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 8)


@pytest.mark.parametrize('size', [(24, 32), (21, 30)])
def test_against_loops(size):
    torch.manual_seed(0)
    image, cam = torch.randn(1, 3, *size), torch.rand(2, *size)
    found = walk_scores(
        Net(), image, cam, background=dict(power=2), beta=3, log_t=2
    ).numpy()
    assert found.shape == (3, *size)
    # the image and the scores are padded with 0 to 24 x 32
    scores = np.zeros((3, 24, 32))
    scores[1:, : size[0], : size[1]] = cam
    background = (1 - cam.numpy().max(0)) ** 2
    scores[0, : size[0], : size[1]] = background
    cells = scores.reshape(3, 3, 8, 4, 8).mean((2, 4)).reshape(3, 12)
    padded = torch.zeros(1, 3, 24, 32)
    padded[..., : size[0], : size[1]] = image
    affinity = affinity_matrix(Net()(padded), 3)[0].numpy().astype(float) ** 3
    step = affinity / affinity.sum(0)
    for _ in range(4):
        cells = cells @ step
    walked = torch.from_numpy(cells.reshape(1, 3, 3, 4))
    walked = nn.functional.interpolate(walked, (24, 32), mode='bilinear')[0]
    wanted = walked[:, : size[0], : size[1]].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_other_size():
    with pytest.raises(
        ValueError, match=r'the maps are \(8, 8\), but the image \(8, 16'
    ):
        walk_scores(
            Net(),
            torch.zeros(1, 3, 8, 16),
            torch.zeros(1, 8, 8),
            background=dict(threshold=0.4),
            beta=1,
            log_t=0,
        )
