"""The operations by their definitions, and how they are drawn."""

import itertools

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets import StrongAugment
from mmsemi.datasets.transforms import strong_augment as module

FILL = np.array([10, 20, 30])


@pytest.fixture
def image():
    """(24, 31, 3) RGB."""
    return np.random.default_rng(0).integers(20, 200, (24, 31, 3), dtype=np.uint8)


@pytest.fixture
def draw(monkeypatch):
    """Return a function that fixes what is drawn uniformly, in turn."""

    def fix(*values):
        found = itertools.chain(values)
        asked = []

        def uniform(low, high):
            asked.append((low, high))
            return next(found)

        monkeypatch.setattr(module, '_uniform', uniform)
        return asked

    return fix


def apply(operation, image):
    return np.asarray(operation(Image.fromarray(image))).astype(float)


def grey(image):
    return image.astype(float) @ [0.299, 0.587, 0.114]


def mixed(changed, image, share):
    return np.clip((1 - share) * changed + share * image, 0, 255)


def test_brightness_color_contrast(image, draw):
    asked = draw(0.6, 1.4, 0.7)
    got = apply(module.brightness, image)
    assert np.abs(got - 0.6 * image).max() <= 1
    got = apply(module.color, image)
    assert np.abs(got - mixed(grey(image)[..., None], image, 1.4)).max() <= 2
    got = apply(module.contrast, image)
    assert np.abs(got - mixed(grey(image).mean(), image, 0.7)).max() <= 2
    assert asked == [(0.5, 1.5)] * 3


def test_auto_contrast_and_invert(image, draw):
    asked = draw(0.3, 0.2)
    low, high = image.min((0, 1)), image.max((0, 1)).astype(float)
    stretched = (image.astype(float) - low) * 255 / (high - low)
    got = apply(module.auto_contrast, image)
    assert np.abs(got - mixed(stretched, image, 0.3)).max() <= 2
    got = apply(module.invert, image)
    assert np.abs(got - mixed(255.0 - image, image, 0.2)).max() <= 1
    assert asked == [(0, 1)] * 2


def test_equalize(draw):
    """Flat histograms; above 1 the change is turned round."""
    large = np.random.default_rng(0).integers(0, 256, (200, 256, 3))
    ramp = (large**2 // 255).astype(np.uint8)
    asked = draw(0.0, 1.5)
    flat = apply(module.equalize, ramp)
    for channel in range(3):
        ranks = ramp[..., channel].ravel().argsort().argsort() / ramp[..., 0].size
        assert np.abs(flat[..., channel].ravel() - 255 * ranks).max() < 20
    got = apply(module.equalize, ramp)
    assert np.abs(got - mixed(flat, ramp, 1.5)).max() <= 1
    assert asked == [(0.5, 1.5)] * 2


def test_posterize(image, monkeypatch):
    for bits in (1, 3, 8):
        monkeypatch.setattr(np.random, 'randint', lambda low, high, b=bits: b)
        got = apply(module.posterize, image)
        assert (got == image // 2 ** (8 - bits) * 2 ** (8 - bits)).all()
    monkeypatch.undo()
    np.random.seed(0)
    levels = {len(np.unique(apply(module.posterize, image))) for _ in range(200)}
    assert len(levels) == 8


def test_sharpness_and_solarize(image, draw):
    asked = draw(1.0, 0.0, 99.5)
    assert (apply(module.sharpness, image) == image).all()
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), (0, 1))
    smooth = (windows * kernel).sum((-1, -2))
    assert np.abs(apply(module.sharpness, image)[1:-1, 1:-1] - smooth).max() <= 1
    got = apply(module.solarize, image)
    assert (got == np.where(image >= 99, 255 - image, image)).all()
    assert asked == [(0, 1), (0, 1), (0, 255)]


def geometric(name, image, label):
    augment = StrongAugment(fill=FILL)
    picture, *maps = getattr(augment, name)(*map(Image.fromarray, (image, label)))
    return np.asarray(picture), np.asarray(maps[0])


def test_scale(image, draw):
    asked = draw(1.7)
    label = (image[..., 0] // 50).astype(np.uint8)
    got, moved = geometric('_scale', image, label)
    assert got.shape == (41, 53, 3) and moved.shape == (41, 53)
    for y, x in np.ndindex(41, 53):
        near = label[int((y + 0.5) * 24 / 41), int((x + 0.5) * 31 / 53)]
        assert moved[y, x] == near
    assert asked == [(0.5, 2)]


def test_mirror(image):
    label = image[..., 1].copy()
    np.random.seed(0)
    flipped = 0
    for _ in range(200):
        got, moved = geometric('_mirror', image, label)
        if (got == image[:, ::-1]).all():
            flipped += 1
            assert (moved == label[:, ::-1]).all()
        else:
            assert (got == image).all() and (moved == label).all()
    assert 70 < flipped < 130


def moved_by(source, image, label):
    """Each pixel from the nearest of its place, which is about the centre."""
    height, width = label.shape
    picture, mask = np.empty_like(image), np.empty_like(label)
    centre = np.array([width, height]) / 2
    for y, x in np.ndindex(height, width):
        place = source @ (np.array([x + 0.5, y + 0.5]) - centre) + centre
        column, row = np.floor(place).astype(int)
        inside = 0 <= row < height and 0 <= column < width
        picture[y, x] = image[row, column] if inside else FILL
        mask[y, x] = label[row, column] if inside else 255
    return picture, mask


def check_moved(got, moved, source, image, label):
    expected, mask = moved_by(source, image, label)
    # on the border between two pixels, either may be taken
    assert (moved == mask).mean() > 0.98
    assert ((moved == 255) == (got == FILL).all(-1)).mean() > 0.98
    assert np.abs(got.astype(int) - expected).mean() < 4
    assert (mask == 255).any() and (mask != 255).any()


@pytest.fixture
def smooth():
    """An image that interpolation hardly changes, and its label map."""
    y, x = np.mgrid[:40, :60]
    image = np.stack([4 * x, 5 * y, x + 2 * y], -1).astype(np.uint8)
    return image, (y // 8 * 8 + x // 8).astype(np.uint8)


def test_shear(smooth, draw):
    asked = draw(0.3, -0.2)
    got, moved = geometric('_shear', *smooth)
    check_moved(got, moved, np.array([[1, 0.3], [-0.2, 1]]), *smooth)
    assert asked == [(-0.3, 0.3)] * 2


def test_rotate(smooth, monkeypatch):
    limits = []

    def randint(low, high):
        limits.append((low, high))
        return 30

    monkeypatch.setattr(np.random, 'randint', randint)
    got, moved = geometric('_rotate', *smooth)
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    # counterclockwise, with y downwards
    check_moved(got, moved, np.array([[cosine, -sine], [sine, cosine]]), *smooth)
    assert limits == [(-45, 46)]


def run(image, seed, label=None, **kwargs):
    np.random.seed(seed)
    results = dict(img=image.copy(), img_path='a.jpg', seg_fields=[])
    if label is not None:
        results |= dict(gt_seg_map=label.copy(), seg_fields=['gt_seg_map'])
    return StrongAugment(**kwargs)(results)


def test_m_of_n(image, monkeypatch):
    """m photometric, then n - m geometric operations, m uniform, each kind evenly."""
    log = []
    monkeypatch.setattr(
        module,
        'PHOTOMETRIC',
        tuple(lambda x, i=i: log.append(f'p{i}') or x for i in range(9)),
    )
    augment = StrongAugment()
    assert len(augment.geometric) == 4
    augment.geometric = tuple(
        lambda *x, i=i: log.append(f'g{i}') or list(x) for i in range(4)
    )
    counts, single = {0: 0, 1: 0, 2: 0}, []
    np.random.seed(0)
    for _ in range(900):
        log.clear()
        augment(dict(img=image))
        kinds = ''.join(name[0] for name in log)
        assert kinds in ('pp', 'pg', 'gg')
        counts[kinds.count('p')] += 1
        single += log
    assert all(240 < count < 360 for count in counts.values())
    drawn = {name: single.count(name) for name in sorted(set(single))}
    assert len(drawn) == 13
    assert all(60 < n < 145 for name, n in drawn.items() if name[0] == 'p')
    assert all(170 < n < 290 for name, n in drawn.items() if name[0] == 'g')


def test_channels_are_bgr(image, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module, 'PHOTOMETRIC', (lambda x: seen.append(np.asarray(x)) or x,)
    )
    assert (run(image, 0, num_ops=0)['img'] == image).all()
    augment = StrongAugment()
    augment.geometric = (lambda picture: [picture],)
    for seed in range(5):
        np.random.seed(seed)
        assert (augment(dict(img=image))['img'] == image).all()
    assert seen and all((rgb == image[..., ::-1]).all() for rgb in seen)


def test_labels_follow_the_image(smooth):
    """The image is a function of the label map, and stays one."""
    _, label = smooth
    colours = np.random.default_rng(0).integers(0, 256, (64, 3), dtype=np.uint8)
    image = colours[label]
    augment = StrongAugment(num_ops=3, fill=(1, 2, 3))
    augment_only = [
        seed for seed in range(60) if np.random.RandomState(seed).randint(4) == 0
    ]
    for seed in augment_only:
        np.random.seed(seed)
        results = augment(
            dict(img=image.copy(), gt_seg_map=label.copy(), seg_fields=['gt_seg_map'])
        )
        got, moved = results['img'], results['gt_seg_map']
        assert got.shape[:2] == moved.shape == results['img_shape']
        assert got.dtype == moved.dtype == np.uint8 and got.flags.c_contiguous
        known = moved != 255
        expected = np.where(known[..., None], colours[moved % 64], [3, 2, 1])
        # away from edges, which interpolation blurs
        flat = np.ones(moved.shape, bool)
        for dy, dx in itertools.product((-2, 0, 2), repeat=2):
            flat &= np.roll(moved, (dy, dx), (0, 1)) == moved
        flat[:2] = flat[-2:] = flat[:, :2] = flat[:, -2:] = False
        if flat.any():
            assert (np.abs(got.astype(int) - expected)[flat] < 40).mean() > 0.9
        assert set(np.unique(moved)) <= {*np.unique(label), 255}


def test_seeded_and_small(image):
    for seed in range(20):
        first, second = run(image, seed), run(image, seed)
        assert (first['img'] == second['img']).all()
    for size in ((1, 1), (1, 9), (2, 3)):
        tiny = np.full((*size, 3), 7, np.uint8)
        for seed in range(20):
            got = run(tiny, seed, np.zeros(size, np.uint8), num_ops=4)
            assert got['img'].shape[:2] == got['gt_seg_map'].shape


def test_wrong_input(image):
    with pytest.raises(ValueError, match='num_ops=-1 must be at least 0'):
        StrongAugment(num_ops=-1)
    with pytest.raises(ValueError, match=r'\(H, W, 3\) uint8, got .* from a\.jpg'):
        run(image.astype(np.float32), 0)
    with pytest.raises(ValueError, match=r'gt_seg_map of \(24, 31\) uint8, as the im'):
        run(image, 0, np.zeros((24, 30), np.uint8))
    with pytest.raises(ValueError, match='does not move the boxes of a'):
        StrongAugment()(dict(img=image, img_path='a.jpg', gt_bboxes=np.zeros((1, 4))))


def test_what_is_outside_has_imagenets_mean_colour():
    assert StrongAugment().fill == (124, 116, 104)
