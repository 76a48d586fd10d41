"""Factors, and labels that move with the image."""

import numpy as np
import pytest

from mmsemi.datasets import RandomScale


def scaled(transform: RandomScale, image: np.ndarray, label: np.ndarray) -> dict:
    return transform(dict(img=image, gt_seg_map=label, seg_fields=['gt_seg_map']))


def test_factor_is_below_one_in_half_of_the_draws():
    image, label = np.zeros((20, 200, 3), np.uint8), np.zeros((20, 200), np.uint8)
    np.random.seed(0)
    widths = np.array(
        [scaled(RandomScale(), image, label)['img'].shape[1] for _ in range(400)]
    )
    np.random.seed(0)
    expected = []
    for _ in range(400):
        low, high = (0.5, 1.0) if np.random.random() < 0.5 else (1.0, 2.0)
        expected.append(int(200 * (low + (high - low) * np.random.random()) + 0.5))
    assert widths.tolist() == expected
    factors = widths / 200
    assert factors.min() >= 0.5 and factors.max() <= 2
    assert abs((factors < 1).mean() - 0.5) < 0.06
    assert abs(factors[factors < 1].mean() - 0.75) < 0.03
    assert abs(factors[factors > 1].mean() - 1.5) < 0.06


@pytest.mark.parametrize('seed', range(4))
def test_label_stays_on_its_image(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, (4, 5)).repeat(10, 0).repeat(10, 1).astype(np.uint8)
    label[:10, :10] = 255
    image = np.stack([label] * 3, -1)
    np.random.seed(seed)
    results = scaled(RandomScale(), image, label)
    got, height, width = results['gt_seg_map'], *results['img'].shape[:2]
    assert got.shape == (height, width)
    assert set(np.unique(got)) <= set(np.unique(label))
    # nearest neighbour, by hand; the middle of each block is far from its edges
    for row in range(4):
        for column in range(5):
            y = int((row + 0.5) * height / 4)
            x = int((column + 0.5) * width / 5)
            assert got[y, x] == label[10 * row + 5, 10 * column + 5]
            assert (results['img'][y, x] == got[y, x]).all()


@pytest.mark.parametrize('factors', [(0, 2), (1.1, 2), (0.5, 0.9)])
def test_wrong_range(factors):
    with pytest.raises(ValueError, match=r'RandomScale m.._factor=.* must be'):
        RandomScale(*factors)
