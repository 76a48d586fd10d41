"""The CutMix masks of UniMatch and CPS: their boxes, and how these are distributed."""

import numpy as np
import pytest
import torch

from mmsemi.models.utils import cutmix_masks
from mmsemi.models.utils.cutmix_masks import random_box_mask, several_boxes_mask


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def box_of(image):
    """Left, top, width and height of the one rectangle in (H, W)."""
    y, x = image.nonzero().T
    left, top = int(x.min()), int(y.min())
    width, height = int(x.max()) - left + 1, int(y.max()) - top + 1
    assert int(image.sum()) == width * height
    return left, top, width, height


def slow_box(rng, height, width):
    """UniMatch's box, drawn as one would write it down."""
    area = rng.uniform(0.02, 0.4) * height * width
    while True:
        ratio = rng.uniform(0.3, 1 / 0.3)
        box_h, box_w = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
        top, left = rng.integers(0, height), rng.integers(0, width)
        if top + box_h <= height and left + box_w <= width:
            return left, top, box_w, box_h


def test_random_boxes_have_the_published_distribution():
    height, width, n = 40, 60, 4000
    mask = random_box_mask(n, (height, width), prob=1, generator=seeded(0))
    assert mask.shape == (n, 1, height, width) and mask.dtype == torch.bool
    got = np.array([box_of(image) for image in ~mask[:, 0]])
    rng = np.random.default_rng(0)
    expected = np.array([slow_box(rng, height, width) for _ in range(n)])
    error = expected.std(0) / np.sqrt(n)
    assert (abs(got.mean(0) - expected.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(got.std(0), expected.std(0), rtol=0.07)
    share = got[:, 2] * got[:, 3] / height / width
    assert share.max() <= 0.4 and share.min() > 0.012


def test_half_of_the_images_have_a_box():
    mask = random_box_mask(3000, (20, 20), prob=0.5, generator=seeded(1))
    boxed = (~mask).flatten(1).any(1).float().mean()
    assert abs(boxed - 0.5) < 0.04
    assert random_box_mask(50, (20, 20), prob=0).all()


def test_large_boxes_are_always_found():
    mask = random_box_mask(3000, (16, 16), prob=1, area=(0.4, 0.4), generator=seeded(2))
    assert (~mask).flatten(1).any(1).all()


def test_without_a_fitting_box_the_image_stays(monkeypatch):
    monkeypatch.setattr(cutmix_masks, 'MAX_DRAWS', 1)
    args = dict(prob=1, area=(0.39, 0.4), generator=seeded(0))
    boxed = (~random_box_mask(500, (30, 30), **args)).flatten(1).any(1)
    assert 0 < boxed.sum() < 100


def slow_boxes(rng, height, width):
    """French's and CPS's three boxes, drawn as one would write it down."""
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(3):
        area = rng.uniform(0.25, 0.5)
        tall = np.exp(rng.uniform() * np.log(area))
        box_h = round(tall / np.sqrt(3) * height)
        box_w = round(area / tall / np.sqrt(3) * width)
        top = round(rng.uniform() * (height - box_h))
        left = round(rng.uniform() * (width - box_w))
        mask[top : top + box_h, left : left + box_w] ^= True
    return mask


def test_several_boxes_have_the_published_distribution():
    height, width, n = 24, 36, 4000
    mask = several_boxes_mask(n, (height, width), generator=seeded(0))
    assert mask.shape == (n, 1, height, width) and mask.dtype == torch.bool
    got = ~mask[:, 0].numpy()
    rng = np.random.default_rng(0)
    expected = np.stack([slow_boxes(rng, height, width) for _ in range(n)])
    # how often a pixel is inside, and how large the area is
    for one, other in ((got, expected), (got.mean((1, 2)), expected.mean((1, 2)))):
        error = 5 * other.std(0) * np.sqrt(2 / n)
        assert (abs(one.mean(0) - other.mean(0)) < error + 1e-3).all()
    np.testing.assert_allclose(
        got.mean((1, 2)).std(), expected.mean((1, 2)).std(), rtol=0.07
    )


def test_overlap_is_outside(monkeypatch):
    # the height is the whole area's, half of it for each; positions top left
    draws = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])[:, None]
    monkeypatch.setattr(cutmix_masks, 'draw_uniform', lambda *args: draws)
    mask = several_boxes_mask(1, (20, 20), boxes=2, area=(0.5, 0.5))
    # 0.5 x 1 and 1 x 0.5, each side over the root of two: 7 x 14 and 14 x 7 pixels
    expected = torch.ones(20, 20, dtype=torch.bool)
    expected[:7, :14] = False
    expected[:14, :7] ^= True
    assert torch.equal(mask[0, 0], expected)


@pytest.mark.parametrize('draw', [random_box_mask, several_boxes_mask])
def test_generator_and_size(draw):
    one, same, other = (draw(6, (20, 30), generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    torch.manual_seed(3)
    first = draw(6, (20, 30))
    torch.manual_seed(3)
    assert torch.equal(first, draw(6, (20, 30)))
    assert draw(0, (4, 4)).shape == (0, 1, 4, 4)


@pytest.mark.parametrize(
    ('draw', 'kwargs', 'message'),
    [
        (random_box_mask, dict(prob=1.1), 'prob=1.1'),
        (random_box_mask, dict(area=(0.0, 0.4)), 'area='),
        (random_box_mask, dict(area=(0.5, 0.4)), 'area='),
        (random_box_mask, dict(ratio=0), 'ratio=0'),
        (several_boxes_mask, dict(boxes=0), 'boxes=0'),
        (several_boxes_mask, dict(area=(0.2, 1.5)), 'area='),
    ],
)
def test_errors(draw, kwargs, message):
    with pytest.raises(ValueError, match=message):
        draw(2, (8, 8), **kwargs)
