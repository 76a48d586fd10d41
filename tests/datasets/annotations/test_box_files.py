"""Boxes from VOC's XML, COCO's JSON and Cityscapes' polygons."""

import json

import numpy as np
import pytest

from mmsemi.datasets.annotations.box_files import (
    as_boxes,
    coco_boxes,
    read_cityscapes_boxes,
    read_coco_boxes,
    read_voc_boxes,
)
from mmsemi.datasets.toyvoc.data_set import CLASSES, generate_toyvoc
from mmsemi.datasets.toyvoc.images import draw

VOC = """<annotation><size><width>50</width><height>40</height></size>
<object><name>cat</name><difficult>1</difficult>
  <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20.5</ymax></bndbox>
  <part><name>head</name>
    <bndbox><xmin>3</xmin><ymin>3</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>
  </part></object>
<object><name> dog </name>
  <bndbox><ymax>7</ymax><xmax>5</xmax><ymin>7</ymin><xmin>5</xmin></bndbox></object>
</annotation>"""
CITYSCAPES = dict(
    imgHeight=10,
    imgWidth=20,
    objects=[
        dict(label='road', polygon=[[0, 5], [19, 5], [25, 12], [-3, 9]]),
        dict(label='ego vehicle', polygon=[[0, 0], [1, 0], [1, 1]]),
        dict(label='cargroup', polygon=[[3, 4], [3, 4], [5, 6]]),
        dict(label='car', polygon=[[1, 1], [2, 2], [3, 1]], deleted=1),
        dict(label='car', polygon=[[20, 3], [24, 3], [24, 6]]),
    ],
)
COCO = dict(
    images=[
        dict(id=7, file_name='a/b.jpg', height=4, width=4),
        dict(id=3, file_name='c.jpg', height=4, width=4),
    ],
    categories=[dict(id=90, name='dog'), dict(id=2, name='cat')],
    annotations=[
        dict(id=1, image_id=7, category_id=90, bbox=[0.5, 1, 2, 1.5]),
        dict(id=2, image_id=7, category_id=2, bbox=[0, 0, 1, 1]),
    ],
)
NAMES = 'cat', 'dog'


@pytest.fixture
def write(tmp_path):
    def save(content):
        path = tmp_path / 'boxes'
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, 'utf-8')
        return path

    return save


def check(found, boxes, labels):
    assert found[0].dtype == np.float64 and found[1].dtype == np.int64
    assert (found[0].tolist(), found[1].tolist()) == (boxes, labels)


def test_voc(write):
    """From 1, ends inside; parts left out, difficult objects kept."""
    check(read_voc_boxes(write(VOC), NAMES), [[0, 1, 10, 20.5], [4, 6, 5, 7]], [1, 2])
    none = read_voc_boxes(write('<annotation></annotation>'), NAMES)
    assert none[0].shape == (0, 4) and none[1].shape == (0,)


def test_voc_as_toyvoc_writes_it(tmp_path):
    generate_toyvoc(tmp_path / 'toy', 3, 1, seed=0)
    for index in range(3):
        objects = draw(np.random.default_rng([0, 0, index])).objects
        path = tmp_path / 'toy' / 'Annotations' / f'train_{index:05d}.xml'
        expected = [list(o.box) for o in objects], [o.label for o in objects]
        check(read_voc_boxes(path, CLASSES[1:]), *expected)


def test_cityscapes(write):
    """Corners' pixels are inside; the image's edge is the end."""
    found = read_cityscapes_boxes(write(CITYSCAPES), ('car', 'road'))
    check(found, [[0, 5, 20, 10], [3, 4, 6, 7]], [2, 1])


def test_coco(write):
    found = read_coco_boxes(write(COCO), NAMES)
    assert list(found) == ['a/b.jpg', 'c.jpg']
    check(found['a/b.jpg'], [[0.5, 1, 2.5, 2.5], [0, 0, 1, 1]], [2, 1])
    assert found['c.jpg'][0].shape == (0, 4) and found['c.jpg'][1].shape == (0,)


def test_coco_round_trip(write):
    found = read_coco_boxes(write(COCO), NAMES)
    written = coco_boxes(found, dict.fromkeys(found, (4, 5)), NAMES)
    assert written['images'][0] == dict(id=1, file_name='a/b.jpg', height=4, width=5)
    again = read_coco_boxes(write(written), NAMES)
    assert list(again) == list(found)
    for name in found:
        check(again[name], *(values.tolist() for values in found[name]))


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (('cat<', 'cow<'), r"class 'cow', which is none of \['cat', 'dog'\]"),
        (('<xmin>1', '<xmin>11'), r'from \(10, 1\) to \(10, 20\.5\) .* has no area'),
        (('<ymin>2', '<ymin>nan'), 'has no area: correct or delete it'),
        (
            ('<ymax>20.5</ymax>', ''),
            r"object 'cat' has no bndbox .* '10', None\]\): add",
        ),
        (('<xmin>1', '<xmin>one'), r"object 'cat' has no bndbox"),
        (('</annotation>', ''), 'cannot be read .* damaged or truncated'),
    ],
)
def test_wrong_voc(write, change, match):
    path = write(VOC.replace(*change))
    with pytest.raises(ValueError, match=match) as error:
        read_voc_boxes(path, NAMES)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (('"image_id": 7', '"image_id": 8'), r'annotations\[0\]: its image 8 is not'),
        (('"category_id": 2', '"category_id": 5'), r'\[1\]: its category 5 is not'),
        (('"cat"', '"cow"'), r"annotations\[1\] has a box of the class 'cow'"),
        (('2, 1.5]', '0, 1.5]'), r'image a/b.jpg: the box from \(0\.5, 1\) to \(0\.5'),
        (
            ('"images"', '"pictures"'),
            r"has no \['images'\]: LoadBoxes needs a JSON with",
        ),
        (('"bbox"', '"box"'), r"annotations\[0\] has no 'bbox'"),
        (('{"images"', '[1] {"images"'), 'cannot be read'),
        (('"name"', '"title"'), r"categories\[0\] has no 'name': add it to the file"),
        (('"file_name"', '"name"'), r"images\[0\] has no 'file_name'"),
        (('"bbox": [', '"bbox": [3, '), r'\[0\]: bbox=\[3, .* the four numbers'),
        (('"bbox": [', '"bbox": ["1", '), r"bbox=\['1', .* must be the four numbers"),
        (('"bbox": [0.5, 1,', '"bbox": [true, 1,'), 'must be the four numbers'),
        (('[0.5, 1, 2, 1.5]', '3'), r'annotations\[0\]: bbox = 3 must be a list'),
        (('"id": 7', '"id": [7]'), r'images\[0\]: id = \[7\] must be an integer or a'),
        (('"image_id": 7', '"image_id": {}'), r'annotations\[0\]: image_id = \{\}'),
        (('"id": 90', '"id": null'), r'categories\[0\]: id = None must be an integer'),
        (('"dog"', '5'), r'categories\[0\]: name = 5 must be a text'),
        (('"a/b.jpg"', '4'), r'images\[0\]: file_name = 4 must be a text'),
        (
            ('"categories": [', '"categories": [5, '),
            r'categories\[0\] is 5, and no object',
        ),
        (
            ('"id": 2, "name"', '"id": 90, "name"'),
            'categories: two have the id 90, dog',
        ),
        (('[0.5, 1, 2, 1.5]', f'[{10**400}, 1, 2, 1.5]'), 'must be the four numbers'),
        (('"annotations": [', '"annotations": 3, "x": ['), 'annotations = 3 must be a'),
    ],
)
def test_wrong_coco(write, change, match):
    path = write(json.dumps(COCO).replace(*change))
    with pytest.raises(ValueError, match=match) as error:
        read_coco_boxes(path, NAMES)
    assert str(error.value).startswith(str(path))


def test_wrong_cityscapes(write):
    wrong = json.dumps(CITYSCAPES).replace('"road"', '"raod"')
    with pytest.raises(ValueError, match=r"class 'raod', which is none of \['car'"):
        read_cityscapes_boxes(write(wrong), ('car', 'road'))
    with pytest.raises(
        ValueError, match=r"has no \['imgHeight', 'imgWidth', 'objects'"
    ):
        read_cityscapes_boxes(write('[]'), ('car',))
    for before, after, match in (
        ('"label"', '"name"', r"objects\[0\] has no 'label': add it to the file"),
        ('"polygon"', '"box"', r"objects\[0\] has no 'polygon'"),
        ('"polygon": [', '"polygon": [7, ', r'objects\[0\]: polygon = \[7, .* corners'),
        ('[19, 5]', '[19, 5, 1]', r'must be corners \[x, y\]: correct it, or delete'),
        ('[19, 5]', '[19, "5"]', r'must be corners'),
        ('"road"', '{}', r'objects\[0\]: label = \{\} must be a text'),
        ('20,', '-20,', r'imgHeight are \[-20, 10\]: write the size of the image'),
        ('20,', 'NaN,', r'imgWidth = nan must be a finite number'),
        ('[19, 5]', '[19, NaN]', r'must be corners'),
        ('20,', '"20",', r"imgWidth = '20' must be a finite number"),
        (
            '"objects": [',
            '"objects": [[], ',
            r'objects\[0\] is \[\], and no object',
        ),
    ):
        with pytest.raises(ValueError, match=match) as error:
            wrong = json.dumps(CITYSCAPES).replace(before, after, 1)
            read_cityscapes_boxes(write(wrong), ('car', 'road'))
        assert 'boxes' in str(error.value)
    wrong = json.loads(json.dumps(CITYSCAPES))
    void = dict(label='ego vehicle', polygon=[]), dict(label='x', deleted=1)
    more = dict(wrong, objects=[*wrong['objects'], *void])
    for found, expected in zip(
        read_cityscapes_boxes(write(json.dumps(more)), ('car', 'road')),
        read_cityscapes_boxes(write(json.dumps(wrong)), ('car', 'road')),
        strict=True,
    ):
        assert (found == expected).all()
    wrong['objects'][0]['polygon'] = []
    with pytest.raises(ValueError, match=r'polygon = \[\] must be corners'):
        read_cityscapes_boxes(write(json.dumps(wrong)), ('car', 'road'))


def test_two_images_of_one_id(write):
    twice = dict(COCO, images=[*COCO['images'], dict(COCO['images'][0], file_name='z')])
    with pytest.raises(
        ValueError, match=r'images: two have the id 7, a/b\.jpg and z: give each'
    ):
        read_coco_boxes(write(json.dumps(twice)), NAMES)


@pytest.mark.parametrize('read', [read_voc_boxes, read_coco_boxes])
def test_no_file(read, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r'no boxes at .*gone\.xml: correct path'
    ):
        read(tmp_path / 'gone.xml', NAMES)


def test_ids_and_objects_as_tools_write_them(write):
    text = json.dumps(COCO)
    expected = read_coco_boxes(write(text), NAMES)
    for old, new in (('_id": 7', '_id": 7.0'), ('"id": 90', '"id": 90.0')):
        text = text.replace(old, new)
    found = read_coco_boxes(write(text), NAMES)
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for array, other in zip(arrays, found[name], strict=True):
            assert (array == other).all()
    names = ('car', 'road')
    more = dict(CITYSCAPES, objects=[*CITYSCAPES['objects'], dict(deleted=1)])
    plain = read_cityscapes_boxes(write(CITYSCAPES), names)
    for array, other in zip(
        plain, read_cityscapes_boxes(write(more), names), strict=True
    ):
        assert (array == other).all()


def test_infinite_boxes():
    with pytest.raises(ValueError, match='has no area'):
        as_boxes([(0, 0, np.inf, 1)], [1], 'here')
