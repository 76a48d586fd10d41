"""Activation maps over scales and flips."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from PIL import Image

from mmsemi.models.utils.cam_views import (
    refine_on_grid,
    sum_views,
    valid_cells,
    view_sizes,
)


def test_sizes():
    assert view_sizes((375, 500), (1, 0.5, 1.5)) == [
        (375, 500),
        (188, 250),
        (562, 750),
    ]
    assert view_sizes((375, 500), squares=(256, 512)) == [(256, 256), (512, 512)]
    assert view_sizes((375, 500), (1, 0.01), divisor=16) == [(368, 496), (16, 16)]
    with pytest.raises(ValueError, match='squares=\\[0\\]'):
        view_sizes((3, 3), squares=[0])
    with pytest.raises(ValueError, match='scales=\\[\\]'):
        view_sizes((3, 3), [])


def test_sum_against_single_views():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 12, 20)
    weight = torch.randn(2, 3, 3, 3)
    seen = []

    def maps_of(view):
        seen.append(view)
        return F.conv2d(view, weight, stride=2, padding=1)

    views = [(12, 20), (6, 10)]
    total = sum_views(maps_of, images, (9, 7), views)
    assert [tuple(v.shape[2:]) for v in seen] == [(12, 20)] * 2 + [(6, 10)] * 2
    wanted = torch.zeros(1, 2, 9, 7)
    for size in views:
        view = images
        if size != (12, 20):
            view = F.interpolate(images, size, mode='bicubic', antialias=True)
        for mirrored in (False, True):
            maps = maps_of(view.flip(3) if mirrored else view)
            maps = maps.flip(3) if mirrored else maps
            # bilinear and a flip change places
            wanted += F.interpolate(maps, (9, 7), mode='bilinear')
    torch.testing.assert_close(total, wanted)
    alone = sum_views(maps_of, images, (9, 7), views[:1], flip=False)
    torch.testing.assert_close(
        alone, F.interpolate(maps_of(images), (9, 7), mode='bilinear')
    )


def test_resize_is_pillows():
    array = np.random.default_rng(0).random((16, 24)).astype(np.float32)
    wanted = np.array(Image.fromarray(array).resize((9, 7), Image.Resampling.BICUBIC))
    images = torch.from_numpy(array)[None, None]
    found = sum_views(lambda view: view, images, (7, 9), [(7, 9)], flip=False)
    np.testing.assert_allclose(found[0, 0].numpy(), wanted, atol=1e-5)


def test_refine_on_a_coarser_grid():
    torch.manual_seed(0)
    cam, affinity = torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4)
    found = refine_on_grid(cam, affinity, (2, 2))
    for b in range(2):
        for c in range(3):
            cells = [
                cam[b, c, y : y + 2, x : x + 2].mean() for y in (0, 2) for x in (0, 2)
            ]
            for i in range(4):
                wanted = sum(affinity[b, i, j] * cells[j] for j in range(4))
                torch.testing.assert_close(found[b, c].flatten()[i], wanted)


def test_valid_cells():
    padded = BaseDataElement(metainfo=dict(pad_shape=None, padding_size=(0, 6, 0, 9)))
    whole = BaseDataElement()
    found = valid_cells([padded, whole], (16, 16), (4, 4)).int().tolist()
    # centres at 2, 6, 10, 14; the image is 10 wide and 7 high
    assert found[0] == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert found[1] == [[1] * 4] * 4
