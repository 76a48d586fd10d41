import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.toyvoc import annotations, data_set, images
from mmsemi.datasets.toyvoc.data_set import CLASSES, PALETTE, generate_toyvoc
from mmsemi.registry import DATASETS

NUM_TRAIN, NUM_VAL = 9, 3


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'toyvoc'
    assert generate_toyvoc(root, NUM_TRAIN, NUM_VAL)
    return root


def ids(root: Path, part: str = 'trainval') -> list[str]:
    path = root / 'ImageSets' / 'Segmentation' / f'{part}.txt'
    return path.read_text().splitlines()


def read(root: Path, folder: str, name: str) -> np.ndarray:
    return np.array(Image.open(root / folder / f'{name}.png'))


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_layout(root: Path) -> None:
    names = ids(root)
    assert ids(root, 'train') + ids(root, 'val') == names
    assert len(ids(root, 'train')) == NUM_TRAIN
    assert len(ids(root, 'val')) == NUM_VAL
    for folder, suffix in (
        ('JPEGImages', '.jpg'),
        ('SegmentationClass', '.png'),
        ('SegmentationObject', '.png'),
        ('Annotations', '.xml'),
    ):
        found = sorted(path.name for path in (root / folder).iterdir())
        assert found == sorted(name + suffix for name in names)
    assert list(json.loads((root / 'tags.json').read_text())) == names
    assert (root / 'toyvoc.json').is_file()
    assert [path.name for path in root.parent.iterdir()] == ['toyvoc']


def test_pictures_and_masks(root: Path) -> None:
    for name in ids(root):
        image = Image.open(root / 'JPEGImages' / f'{name}.jpg')
        mask = Image.open(root / 'SegmentationClass' / f'{name}.png')
        assert (image.mode, mask.mode) == ('RGB', 'P')
        assert image.size == mask.size
        assert all(96 <= side <= 128 for side in image.size)
        labels = np.unique(mask)
        assert set(labels) <= {*range(len(CLASSES)), 255}
        assert len(set(labels) - {0, 255}) >= 1


def test_palette_is_that_of_voc(root: Path) -> None:
    # the first and the last colours of the VOC development kit
    assert PALETTE[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert len(PALETTE) == len(CLASSES)
    mask = Image.open(root / 'SegmentationClass' / f'{ids(root)[0]}.png')
    palette = np.array(mask.getpalette()).reshape(-1, 3)
    assert palette[: len(CLASSES)].tolist() == PALETTE
    assert palette[255].tolist() == [224, 224, 192]


def test_boxes_are_the_extents_in_the_masks(root: Path) -> None:
    for name in ids(root):
        mask = read(root, 'SegmentationClass', name)
        instances = read(root, 'SegmentationObject', name)
        expected = []
        for number in range(1, instances[instances != 255].max() + 1):
            points = [
                (x, y)
                for y in range(mask.shape[0])
                for x in range(mask.shape[1])
                if instances[y, x] == number
            ]
            (label,) = {int(mask[y, x]) for x, y in points}
            xs, ys = [x + 1 for x, _ in points], [y + 1 for _, y in points]
            expected.append((CLASSES[label], min(xs), min(ys), max(xs), max(ys)))
            assert len(points) >= 20
        xml = ElementTree.parse(root / 'Annotations' / f'{name}.xml').getroot()
        found = []
        for node in xml.iter('object'):
            corners = ('xmin', 'ymin', 'xmax', 'ymax')
            box = [int(node.findtext(f'bndbox/{corner}')) for corner in corners]
            found.append((node.findtext('name'), *box))
        assert found == expected
        assert xml.findtext('filename') == f'{name}.jpg'
        size = [int(xml.findtext(f'size/{key}')) for key in ('height', 'width')]
        assert size == list(mask.shape)
        np.testing.assert_array_equal(mask == 255, instances == 255)
        np.testing.assert_array_equal(mask == 0, instances == 0)


def test_tags_are_the_classes_of_the_masks(root: Path) -> None:
    tags = json.loads((root / 'tags.json').read_text())
    for name in ids(root):
        labels = set(read(root, 'SegmentationClass', name).ravel().tolist())
        assert tags[name] == [CLASSES[c] for c in sorted(labels - {0, 255})]


def test_same_seed_same_bytes(root: Path, tmp_path: Path) -> None:
    generate_toyvoc(tmp_path / 'again', NUM_TRAIN, NUM_VAL)
    assert digests(tmp_path / 'again') == digests(root)
    generate_toyvoc(tmp_path / 'other', NUM_TRAIN, NUM_VAL, seed=1)
    image = f'JPEGImages/{ids(root)[0]}.jpg'
    assert digests(tmp_path / 'other')[image] != digests(root)[image]


def test_a_picture_does_not_depend_on_the_counts(root: Path, tmp_path: Path) -> None:
    generate_toyvoc(tmp_path / 'small', 2, 1)
    few, many = digests(tmp_path / 'small'), digests(root)
    shared = [path for path in few if '/train_' in path or '/val_' in path]
    assert len(shared) == 3 * 4
    assert {path: few[path] for path in shared} == {p: many[p] for p in shared}


def test_existing_data_set_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert not generate_toyvoc(root, NUM_TRAIN, NUM_VAL)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before


def test_other_settings_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"toyvoc holds .*'seed': 0.*delete this one"):
        generate_toyvoc(root, NUM_TRAIN, NUM_VAL, seed=7)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(FileExistsError, match=r'no toyvoc\.json.*another folder'):
        generate_toyvoc(tmp_path, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_train=0), 'num_train=0 must be at least 1'),
        (dict(num_val=0), 'num_val=0 must be at least 1'),
        (dict(seed=-1), 'seed=-1 must be at least 0'),
    ],
)
def test_numbers_out_of_range(
    tmp_path: Path, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        generate_toyvoc(tmp_path / 'toyvoc', **settings)


def test_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = data_set.draw, []

    def draw_twice(rng: np.random.Generator) -> annotations.ToyImage:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(rng)

    monkeypatch.setattr(data_set, 'draw', draw_twice)
    with pytest.raises(KeyboardInterrupt):
        generate_toyvoc(tmp_path / 'toyvoc', 5, 1)
    assert list(tmp_path.iterdir()) == []


def test_hidden_object_leaves_every_annotation() -> None:
    # thing 1 (class 3) shows 4x4 = 16 of its pixels, thing 2 (class 5) all 8x8
    depth = np.zeros((20, 20), dtype=np.int64)
    depth[2:6, 2:6] = 1
    depth[10:18, 9:17] = 2
    mask, instances, objects = annotations.annotate(depth, [0, 3, 5], [0, 16, 64])
    assert [(o.label, o.box, o.truncated) for o in objects] == [
        (5, (9, 10, 17, 18), False)
    ]
    assert (mask[2:6, 2:6] == 255).all()
    assert not (mask == 3).any()
    assert (mask == 5).sum() == (instances == 1).sum() == 64
    # its outline: one pixel on each of four sides, no corners
    assert (mask[9:19, 8:18] == 255).sum() == 4 * 8


def test_every_shape_and_texture_has_two_classes() -> None:
    names = [f'{shape} {surface}' for shape, surface in images.KINDS]
    assert len(set(names)) == len(CLASSES) - 1 == 6
    for cue in (0, 1):
        values = [kind[cue] for kind in images.KINDS]
        assert all(values.count(value) == 2 for value in values)
    assert not set(images.KINDS) & set(images.DECOYS)
    adjective = dict(stripes='striped', dots='dotted', checks='checked')
    expected = [f'{adjective[surface]} {shape}' for shape, surface in images.KINDS]
    assert list(CLASSES[1:]) == expected


def test_dataset_from_the_registry(root: Path) -> None:
    dataset = DATASETS.build(
        dict(
            type='ToyVOCDataset',
            data_root=str(root),
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/train.txt',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='mmseg.LoadAnnotations'),
            ],
        )
    )
    assert len(dataset) == NUM_TRAIN
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.metainfo['palette'] == PALETTE
    item, name = dataset[4], ids(root, 'train')[4]
    assert item['img'].shape[:2] == item['gt_seg_map'].shape
    expected = read(root, 'SegmentationClass', name)
    np.testing.assert_array_equal(item['gt_seg_map'], expected)
