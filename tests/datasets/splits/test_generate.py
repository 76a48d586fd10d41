import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.splits.generate import (
    check_split,
    class_histograms,
    generate_split,
)


def save_mask(path, rows, mode='L'):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(rows, dtype=np.uint8))
    if mode == 'P':
        image.putpalette(list(range(256)) * 3)
    image.save(path)


@pytest.mark.parametrize('seed', [0, 7])
def test_seeded_rule(seed):
    ids = [f'image{i}' for i in range(50, 0, -1)]
    labeled, unlabeled = generate_split(ids, 12, seed=seed)
    positions = np.random.default_rng(seed).permutation(50)[:12]
    assert labeled == [ids[i] for i in sorted(positions)]
    assert unlabeled == [name for name in ids if name not in labeled]
    larger, _ = generate_split(ids, 46, seed=seed)
    assert set(labeled) < set(larger)
    assert generate_split(ids, 12, seed=seed + 1)[0] != labeled


@pytest.mark.parametrize(
    'total, sizes', [(10582, (662, 1323, 2646, 5291)), (2975, (186, 372, 744, 1488))]
)
def test_fractions_have_the_published_sizes(total, sizes):
    ids = [str(i) for i in range(total)]
    for part, size in zip((16, 8, 4, 2), sizes, strict=True):
        assert len(generate_split(ids, fraction=1 / part)[0]) == size
    assert 0.07 * 100 > 7
    assert len(generate_split(ids[:100], fraction=0.07)[0]) == 7


@pytest.mark.parametrize(
    'ids, size, message',
    [
        ('aab', dict(num=1), 'duplicates'),
        ('abc', dict(), 'either num or fraction'),
        ('abc', dict(num=1, fraction=0.5), 'either num or fraction'),
        ('abc', dict(num=0), 'Cannot label 0 of 3 images: choose 1 to 2'),
        ('abc', dict(num=3), 'Cannot label 3 of 3'),
        ('abc', dict(fraction=1.5), 'Cannot label 5 of 3'),
    ],
)
def test_bad_sizes(ids, size, message):
    with pytest.raises(ValueError, match=message):
        generate_split(list(ids), **size)


def test_balanced_shows_every_class():
    rng = np.random.default_rng(1)
    histograms = np.zeros((200, 6), dtype=int)
    histograms[:, 0] = 50
    histograms[:, 1:4] = rng.integers(0, 2, (200, 3)) * 9
    histograms[13, 4] = histograms[77, 4] = histograms[77, 5] = 1
    ids = [str(i) for i in range(200)]
    covers = []
    for num in (3, 8, 40):
        labeled, unlabeled = generate_split(ids, num, class_histograms=histograms)
        assert sorted(labeled + unlabeled) == sorted(ids) and len(labeled) == num
        times = (histograms[[int(name) for name in labeled]] > 0).sum(0)
        assert (times > 0).all()
        covers.append(set(labeled))
    # both images of class 4 and the only one of class 5 are served by the second round
    assert covers[0] < covers[1] < covers[2] and {'13', '77'} <= covers[1]
    # classes that are common enough end up equal to within one round
    assert abs(times[1:4] - times[1:4].mean()).max() < abs(times[0] - times[1:4].mean())


@pytest.mark.parametrize('seed', range(10))
def test_balanced_by_hand(seed):
    # the rare classes 1 and 4 leave no choice but r and s; t, first, would waste one
    shown = dict(q=[0], r=[0, 1, 2], s=[0, 3, 4], t=[0, 2, 3])
    table = np.array([np.isin(range(5), classes) for classes in shown.values()])
    labeled, _ = generate_split(list(shown), 2, seed=seed, class_histograms=table)
    assert labeled == ['r', 's']
    # two images show class 0 and two class 1, but only one of them shows both
    table = np.array([[1, 0], [0, 1], [1, 1]])
    labeled, _ = generate_split(list('abc'), 1, seed=seed, class_histograms=table)
    assert labeled == ['c']


def test_balanced_refusals():
    one_each = np.eye(4, dtype=int)
    with pytest.raises(
        ValueError, match=r'2 labeled images do not show class \[2, 3\]'
    ):
        generate_split(list('abcd'), 2, class_histograms=one_each)
    with pytest.raises(ValueError, match='4 histograms for 5 images'):
        generate_split(list('abcde'), 2, class_histograms=one_each)
    void = np.zeros((4, 3), dtype=int)
    assert generate_split(list('abcd'), 2, class_histograms=void) == generate_split(
        list('abcd'), 2
    )


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_class_histograms(tmp_path, mode):
    save_mask(tmp_path / 'a.png', [[0, 0, 2], [255, 2, 2]], mode)
    save_mask(tmp_path / 'b.png', [[1, 255, 255]], mode)
    masks = [tmp_path / 'a.png', tmp_path / 'b.png']
    assert class_histograms(masks, 3).tolist() == [[2, 0, 3], [0, 1, 0]]
    shifted = class_histograms(masks, 2, reduce_zero_label=True)
    assert shifted.tolist() == [[0, 3], [1, 0]]
    with pytest.raises(ValueError, match=r'a\.png holds the label 2, outside the 2'):
        class_histograms(masks, 2)
    with pytest.raises(ValueError, match=r'a\.png holds the label 255'):
        class_histograms(masks, 3, ignore_index=254)


def test_pictures_that_are_no_label_maps(tmp_path):
    Image.new('RGB', (2, 2)).save(tmp_path / 'rgb.png')
    with pytest.raises(
        ValueError, match=r'rgb\.png is a picture of mode RGB, not a lab'
    ):
        class_histograms([tmp_path / 'rgb.png'], 2)
    noise = np.random.default_rng(0).integers(0, 2, (64, 64))
    save_mask(tmp_path / 'cut.png', noise)
    data = (tmp_path / 'cut.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'cut\.png cannot be decoded .* truncated'):
        class_histograms([tmp_path / 'cut.png'], 2)


@pytest.fixture
def split(tmp_path):
    """Three images, masks of the two labeled ones."""
    (tmp_path / 'labeled.txt').write_text('a\nb')
    (tmp_path / 'unlabeled.txt').write_text('c')
    for name in 'abc':
        save_mask(tmp_path / 'images' / f'{name}.png', np.full((8, 8), 7))
    save_mask(tmp_path / 'masks' / 'a_gt.png', [[0, 0, 1]])
    save_mask(tmp_path / 'masks' / 'b_gt.png', [[0, 255, 255]])
    return dict(
        labeled=tmp_path / 'labeled.txt',
        unlabeled=tmp_path / 'unlabeled.txt',
        img_dir=tmp_path / 'images',
        img_suffix='.png',
        mask_dir=tmp_path / 'masks',
        seg_map_suffix='_gt.png',
        num_classes=3,
    )


def test_check_split(split):
    report = check_split(**split, verify=True)
    assert (report.num_labeled, report.num_unlabeled) == (2, 1)
    assert report.pixels.tolist() == [3, 1, 0] and report.images.tolist() == [2, 1, 0]
    short = check_split(split['labeled'], split['unlabeled'])
    assert (short.num_labeled, short.pixels) == (2, None)


def test_check_split_missing_files(split):
    (split['mask_dir'] / 'b_gt.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'1 of 2 masks .* missing, first .*b_gt'
    ):
        check_split(**split)
    (split['img_dir'] / 'c.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images are missing, .*c\.png'):
        check_split(**split)
    with pytest.raises(FileNotFoundError, match=r'no folder .*nowhere with the images'):
        check_split(**{**split, 'img_dir': split['img_dir'] / 'nowhere'})


def test_check_split_truncated_image(split):
    path = split['img_dir'] / 'c.png'
    path.write_bytes(path.read_bytes()[:45])
    check_split(**split)
    with pytest.raises(ValueError, match=r'c\.png cannot be decoded'):
        check_split(**split, verify=True)
