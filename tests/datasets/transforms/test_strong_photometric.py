"""Colours change, places do not."""

import numpy as np
import pytest

from mmsemi.datasets import StrongPhotometric

OFF = dict(jitter_prob=0, gray_prob=0, blur_prob=0)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def strong(image: np.ndarray, seed: int = 0, **kwargs: object) -> np.ndarray:
    np.random.seed(seed)
    return StrongPhotometric(**kwargs)(dict(img=image.copy()))['img']


def test_nothing_drawn_changes_nothing(image):
    assert (strong(image, **OFF) == image).all()


def test_same_seed_same_view_and_nothing_else_is_touched(image):
    label = np.arange(24 * 31).reshape(24, 31)
    np.random.seed(4)
    results = StrongPhotometric()(dict(img=image.copy(), gt_seg_map=label.copy()))
    assert (results['gt_seg_map'] == label).all()
    assert (strong(image, 4) == results['img']).all()
    assert (strong(image, 5) != results['img']).any()
    assert results['img'].shape == image.shape
    assert results['img'].dtype == np.uint8 and results['img'].flags.c_contiguous


def test_greyscale_weighs_bgr(image):
    got = strong(image, **dict(OFF, gray_prob=1))
    blue, green, red = image.astype(float).transpose(2, 0, 1)
    grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    assert np.abs(got - grey[..., None]).max() <= 1
    assert (got == got[..., :1]).all()


def test_brightness_multiplies(image):
    seed = 3
    np.random.seed(seed)
    np.random.random()
    factor = None
    for operation in np.random.permutation(4):
        if operation == 0:
            factor = np.random.uniform(0.5, 1.5)
        else:
            np.random.random()
    got = strong(
        image, seed, contrast=0, saturation=0, hue=0, **dict(OFF, jitter_prob=1)
    )
    # the way through hue and back rounds
    assert np.abs(got - np.clip(image * factor, 0, 255)).max() <= 3


def test_blur_is_a_centred_gaussian():
    image = np.zeros((21, 21, 3), np.uint8)
    image[10, 8] = 255, 128, 64
    got = strong(image, blur_sigma=(1.5, 1.5), **dict(OFF, blur_prob=1))
    # 3 sigma = 4.5, rounded to even: four pixels on each side
    axis = np.exp(-(np.arange(-4, 5.0) ** 2) / (2 * 1.5**2))
    kernel = np.outer(axis, axis) / axis.sum() ** 2
    expected = np.zeros(image.shape)
    expected[6:15, 4:13] = kernel[..., None] * [255, 128, 64]
    assert np.abs(got - expected).max() <= 0.51


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (2, 2), (3, 4), (2, 40)])
def test_tiny_images(size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for seed in range(3):
        got = strong(image, seed, jitter_prob=1, blur_prob=1, blur_sigma=(2, 2))
        assert got.shape == image.shape and got.dtype == np.uint8


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(jitter_prob=1.5), r'jitter_prob=1\.5 must be in \[0, 1\]'),
        (dict(hue=0.6), r'hue=0\.6 must be in \[0, 0\.5\]'),
        (dict(contrast=-1), r'contrast=-1 must be at least 0'),
        (dict(blur_sigma=(0, 2)), r'blur_sigma=\(0, 2\) must be numbers in \(0, inf\)'),
    ],
)
def test_wrong_options(kwargs, match):
    with pytest.raises(ValueError, match=match):
        StrongPhotometric(**kwargs)


def test_wrong_images(image):
    for wrong in (image.astype(np.float32), image[..., 0]):
        with pytest.raises(ValueError, match=r'\(H, W, 3\) uint8, got .* from a\.jpg'):
            StrongPhotometric()(dict(img=wrong, img_path='a.jpg'))
