"""The JSON of boxes, written once from masks, instances or polygons."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from mmsemi.datasets import LoadBoxes
from mmsemi.registry import TRANSFORMS

SCRIPT = Path(__file__).parents[2] / 'tools/dataset_converters/make_boxes.py'
spec = importlib.util.spec_from_file_location('make_boxes', SCRIPT)
make_boxes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_boxes)
CLASSES = ['background', 'cat', 'dog']
SIZE = (20, 30)
# class, half-open box
THINGS = {
    'x/b': [(2, (3, 4, 9, 11)), (1, (12, 0, 30, 5))],
    'x/a': [(1, (0, 0, 30, 20))],
}


@pytest.fixture
def data(tmp_path, default_scope):
    """Images, masks, instances and polygons, in a subfolder."""
    for folder in ('images', 'masks', 'instances', 'polygons'):
        (tmp_path / folder / 'x').mkdir(parents=True)
    for name, things in THINGS.items():
        mask, instances = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        polygons = []
        for number, (label, (x1, y1, x2, y2)) in enumerate(things, 1):
            mask[y1:y2, x1:x2], instances[y1:y2, x1:x2] = label, number
            corners = [[x1, y1], [x2 - 1, y1], [x2 - 1, y2 - 1]]
            polygons.append(dict(label=CLASSES[label], polygon=corners))
        Image.fromarray(mask).save(tmp_path / f'masks/{name}.png')
        Image.fromarray(instances).save(tmp_path / f'instances/{name}.png')
        Image.new('RGB', SIZE[::-1]).save(tmp_path / f'images/{name}.jpg')
        found = dict(imgHeight=SIZE[0], imgWidth=SIZE[1], objects=polygons)
        path = tmp_path / f'polygons/{name}_gtFine_polygons.json'
        path.write_text(json.dumps(found))
    (tmp_path / 'ids.txt').write_text('x/b\nx/a\n')
    return tmp_path


def run(data, command, src, **options):
    options = dict(images=data / 'images', ids=data / 'ids.txt') | options
    options = dict(classes=','.join(CLASSES), out=data / 'out/boxes.json') | options
    argv = [command, str(data / src)]
    for key, value in options.items():
        argv.append('--' + key.replace('_', '-'))
        argv += [] if value is True else [str(value)]
    return make_boxes.main(argv)


def read(data, classes=CLASSES):
    """Return what LoadBoxes finds in the JSON."""
    load = Compose(
        [
            TRANSFORMS.build(dict(type='LoadImageFromFile')),
            LoadBoxes(
                format='coco',
                path=str(data / 'out/boxes.json'),
                classes=classes,
                img_folder=str(data / 'images'),
            ),
        ]
    )
    found = {}
    for name in THINGS:
        results = load(dict(img_path=str(data / f'images/{name}.jpg')))
        boxes = results['gt_bboxes'][:-1].astype(int).tolist()
        labels = results['gt_bboxes_labels'][:-1].tolist()
        found[name] = sorted(zip(labels, map(tuple, boxes), strict=True))
    return found


@pytest.mark.parametrize(
    ('command', 'src', 'options'),
    [
        ('components', 'masks', {}),
        ('instances', 'instances', {'masks': 'masks'}),
        ('cityscapes', 'polygons', {}),
    ],
)
def test_reads_back(data, capsys, command, src, options):
    options = {key: data / value for key, value in options.items()}
    if command == 'cityscapes':
        # no class without boxes there
        options['classes'] = 'cat,dog'
    assert run(data, command, src, **options) == 0
    classes = options.get('classes', ','.join(CLASSES)).split(',')
    expected = {name: sorted(things) for name, things in THINGS.items()}
    assert read(data, classes) == expected
    printed = capsys.readouterr().out
    assert '2 images with 3 boxes' in printed
    assert '      2        2  cat' in printed and '      1        1  dog' in printed
    listed = json.loads((data / 'out/boxes.json').read_text())['images']
    assert [image['file_name'] for image in listed] == ['x/b.jpg', 'x/a.jpg']
    assert {(image['height'], image['width']) for image in listed} == {SIZE}


def test_small_components_have_no_box(data):
    mask = np.zeros(SIZE, np.uint8)
    mask[:2, :2], mask[10:13, 10:12] = 1, 2
    Image.fromarray(mask).save(data / 'masks/x/a.png')
    assert run(data, 'components', 'masks', min_area=5) == 0
    assert read(data)['x/a'] == [(2, (10, 10, 12, 13))]
    with pytest.raises(ValueError, match=r"format='coco' has no min_area: remove it"):
        LoadBoxes(format='coco', path='', classes=CLASSES, min_area=5)


def test_is_not_replaced_unasked(data, capsys):
    assert run(data, 'components', 'masks') == 0
    assert run(data, 'components', 'masks') == 0
    before = (data / 'out/boxes.json').read_bytes()
    assert run(data, 'components', 'masks', min_area=50) == 1
    assert 'holds something else' in capsys.readouterr().err
    assert (data / 'out/boxes.json').read_bytes() == before
    assert run(data, 'components', 'masks', min_area=50, force=True) == 0
    assert (data / 'out/boxes.json').read_bytes() != before


def test_messages(data, capsys):
    def fails(match, command='components', src='masks', **options):
        assert run(data, command, src, **options) == 1
        assert match in capsys.readouterr().err
        assert not (data / 'out').exists()

    fails('the mask holds the class 2', classes='background,cat')
    (data / 'ids.txt').write_text('x/b\nx/c\n')
    fails('x/c.jpg does not exist: correct the list')
    (data / 'ids.txt').write_text('x/b\nx/a\n')
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(data / 'masks/x/a.png')
    fails('a.png has no box: add the boxes')
    Image.fromarray(np.full((40, 40), 1, np.uint8)).save(data / 'masks/x/a.png')
    fails('outside of its image')
    (data / 'polygons/x/a_gtFine_polygons.json').unlink()
    fails('there are no boxes at', 'cityscapes', 'polygons', classes='cat,dog')
    with pytest.raises(SystemExit):
        run(data, 'components', 'masks', min_area=0)
    assert 'give at least 1 pixel' in capsys.readouterr().err


def test_images_without_objects(data):
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(data / 'masks/x/a.png')
    assert run(data, 'components', 'masks', allow_empty=True) == 0
    found = json.loads((data / 'out/boxes.json').read_text())
    assert len(found['images']) == 2
    assert {item['image_id'] for item in found['annotations']} == {1}
