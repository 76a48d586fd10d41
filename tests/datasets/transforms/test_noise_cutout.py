"""A box of noise, and void labels in the same place."""

import numpy as np
import pytest

from mmsemi.datasets.transforms import NoiseCutOut

SIZE = 60, 80


@pytest.fixture
def sample() -> dict:
    return dict(
        img=np.full((*SIZE, 3), 255, np.uint8),
        gt_seg_map=np.zeros(SIZE, np.uint8),
        seg_fields=['gt_seg_map'],
    )


def cut(sample: dict, seed: int = 0, **kwargs: object) -> dict:
    np.random.seed(seed)
    return NoiseCutOut(**dict(prob=1, **kwargs))(dict(sample))


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_void_and_noise_fill_the_same_box(sample):
    for seed in range(20):
        got = cut(sample, seed)
        void = got['gt_seg_map'] == 255
        top, bottom, left, right = extent(void)
        assert void[top:bottom, left:right].all()
        # noise is below 255, the value of the image
        assert ((got['img'] < 255).all(2) == void).all()
        assert (got['gt_seg_map'][~void] == 0).all()
        assert got['img'].dtype == got['gt_seg_map'].dtype == np.uint8


def test_the_input_is_left_alone(sample):
    cut(sample)
    assert (sample['img'] == 255).all() and (sample['gt_seg_map'] == 0).all()


def test_noise_is_uniform_and_of_its_own_in_each_channel(sample):
    sample['img'] = np.full((300, 300, 3), 255, np.uint8)
    sample['gt_seg_map'] = np.zeros((300, 300), np.uint8)
    got = cut(sample, area=(0.4, 0.4), ratio=(1, 1))
    noise = got['img'][got['gt_seg_map'] == 255].astype(float)
    assert noise.min() == 0 and noise.max() == 254
    counts = np.histogram(noise, bins=5, range=(-0.5, 254.5))[0] / noise.size
    np.testing.assert_allclose(counts, 0.2, atol=0.01)
    correlation = np.corrcoef(noise.T)
    assert np.abs(correlation - np.eye(3)).max() < 0.03


@pytest.mark.parametrize('ratio', [0.5, 2.0])
def test_area_and_ratio(sample, ratio):
    got = cut(sample, area=(0.1, 0.1), ratio=(ratio, ratio))
    top, bottom, left, right = extent(got['gt_seg_map'] == 255)
    area = 0.1 * SIZE[0] * SIZE[1]
    assert bottom - top == int((area * ratio) ** 0.5)
    assert right - left == int((area / ratio) ** 0.5)


def test_erased_share_is_that_of_the_released_code():
    """At 321 x 321: mean .142, quantiles .028, .063, .122, .207, .322 (spec)."""
    np.random.seed(0)
    boxes = [NoiseCutOut()._draw_box(321, 321) for _ in range(4000)]
    share = [
        (rows.stop - rows.start) * (columns.stop - columns.start) / 321**2
        for rows, columns in boxes
    ]
    assert np.mean(share) == pytest.approx(0.142, abs=0.01)
    quantiles = np.quantile(share, [0.05, 0.25, 0.5, 0.75, 0.95])
    expected = [0.028, 0.063, 0.122, 0.207, 0.322]
    np.testing.assert_allclose(quantiles, expected, atol=0.015)


def test_probability(sample):
    np.random.seed(0)
    drawn = [
        (NoiseCutOut(prob=0.3)(dict(sample))['gt_seg_map'] == 255).any()
        for _ in range(1000)
    ]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.04)
    assert (cut(sample)['gt_seg_map'] == cut(sample)['gt_seg_map']).all()


def test_without_labels(sample):
    got = cut(dict(img=sample['img']))
    assert (got['img'] < 255).any() and list(got) == ['img']


def test_other_void(sample):
    assert set(np.unique(cut(sample, ignore_index=9)['gt_seg_map'])) == {0, 9}


@pytest.mark.parametrize('size', [(1, 1), (1, 5), (2, 2), (1, 5000), (5000, 1)])
def test_thin_images(size):
    for seed in range(5):
        got = cut(dict(img=np.zeros((*size, 3), np.uint8)), seed)
        assert got['img'].shape == (*size, 3)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(prob=1.5), r'NoiseCutOut prob=1\.5 must be in \[0, 1\]'),
        (dict(area=(0, 0.4)), r'area=\(0, 0\.4\) must be numbers in \(0, 1\]'),
        (dict(area=(0.5, 0.4)), r'area=\(0\.5, 0\.4\) .* the lower ones first'),
        (dict(ratio=(0, 2)), r'ratio=\(0, 2\) must be numbers in \(0, inf\)'),
    ],
)
def test_wrong_options(kwargs, match):
    with pytest.raises(ValueError, match=match):
        NoiseCutOut(**kwargs)


def test_wrong_images(sample):
    for wrong in (sample['img'].astype(np.float32), sample['img'][..., 0]):
        with pytest.raises(ValueError, match=r'\(H, W, C\) uint8, got .* from a\.jpg'):
            cut(dict(img=wrong, img_path='a.jpg'))
