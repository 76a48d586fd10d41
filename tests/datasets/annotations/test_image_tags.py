"""Tags from XML, masks, tag files and published pickles."""

import json
import os
import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.annotations.image_tags import (
    class_names,
    encode_tags,
    read_voc_tags,
    tags_of_mask,
)
from mmsemi.datasets.annotations.pickled_tags import read_pickled_tags
from mmsemi.datasets.annotations.tag_files import read_tag_file, write_tag_file
from mmsemi.datasets.toyvoc.data_set import CLASSES, generate_toyvoc

NAMES = ['background', 'cat', 'dog', 'wild boar']
XML = """<annotation><object><name>dog</name><difficult>1</difficult>
  <part><name>cat</name></part></object>
<object><name> wild boar </name></object>
<object><name>dog</name></object></annotation>"""


@pytest.fixture
def write(tmp_path):
    def save(content, name='tags.json'):
        path = tmp_path / name
        path.write_text(
            content if isinstance(content, str) else json.dumps(content), 'utf-8'
        )
        return path

    return save


def check(tags, expected):
    assert {name: row.astype(int).tolist() for name, row in tags.items()} == expected
    assert all(row.dtype == bool for row in tags.values())


def test_class_names():
    assert class_names('CamVidDataset')[:2] == ['sky', 'building']
    assert class_names('PascalVOCDataset')[0] == 'background'
    assert class_names(('a', 'b')) == ['a', 'b']
    for wrong in ('NoDataset', [], 'BaseSegDataset'):
        with pytest.raises(ValueError, match='names no classes: give the name'):
            class_names(wrong)


def test_encode():
    assert encode_tags(['dog', 'dog'], NAMES, 'x').tolist() == [0, 0, 1, 0]
    with pytest.raises(ValueError, match=r"x has the tag 'cow', which is none of \['b"):
        encode_tags(['dog', 'cow'], NAMES, 'x')


def test_voc(write):
    """Parts of objects are none, difficult objects are some, background is always."""
    path = write(XML, 'a.xml')
    assert read_voc_tags(path, NAMES).tolist() == [1, 0, 1, 1]
    assert read_voc_tags(path, NAMES[2:]).tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"a\.xml has the tag 'dog', which is none"):
        read_voc_tags(path, ['background', 'wild boar'])
    with pytest.raises(ValueError, match='damaged or truncated, copy it'):
        read_voc_tags(write(XML[:40], 'b.xml'), NAMES)
    with pytest.raises(FileNotFoundError, match=r'no tags at .*c\.xml: correct path'):
        read_voc_tags(path.with_name('c.xml'), NAMES)


@pytest.mark.parametrize(
    ('mask', 'with_background', 'without'),
    [
        ([[0, 2]], [1, 0, 1, 0], [1, 0, 1]),
        ([[2, 255]], [1, 0, 1, 0], [0, 0, 1]),
        ([[1, 2]], [0, 1, 1, 0], [0, 1, 1]),
        ([[255, 255]], [1, 0, 0, 0], [0, 0, 0]),
    ],
)
def test_mask(mask, with_background, without):
    """The rule of the released code; without a background, void is nothing."""
    mask = np.array(mask, dtype=np.uint8)
    assert tags_of_mask(mask, NAMES).tolist() == with_background
    assert tags_of_mask(mask, NAMES[1:]).tolist() == without


def test_mask_outside():
    with pytest.raises(ValueError, match=r'm.png holds the label\(s\) \[4, 9\], but'):
        tags_of_mask(np.array([[4, 9, 255, 0]]), NAMES, 'm.png')


@pytest.mark.parametrize('suffix', ['.json', '.csv'])
def test_file_round_trip(tmp_path, suffix):
    tags = {
        'a/b': np.array([0, 1, 0, 1], dtype=bool),
        'c, "d"': np.array([1, 0, 0, 0], dtype=bool),
        'e': np.zeros(4, dtype=bool),
    }
    path = tmp_path / f'tags{suffix}'
    write_tag_file(path, tags, NAMES)
    again = read_tag_file(path, NAMES)
    check(again, {'a/b': [0, 1, 0, 1], 'c, "d"': [1, 0, 0, 0], 'e': [0, 0, 0, 0]})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_json_without_background_means_always(write):
    """As ToyVOC's own file has it."""
    path = write({'a': ['dog'], 'b': []})
    check(read_tag_file(path, NAMES), {'a': [1, 0, 1, 0], 'b': [1, 0, 0, 0]})
    check(read_tag_file(path, NAMES[1:]), {'a': [0, 1, 0], 'b': [0, 0, 0]})


def test_few_images_with_background(write):
    rows = {'a': ['background', 'dog'], 'b': ['dog'], 'c': ['cat']}
    with pytest.warns(UserWarning, match="only 1 of 3 images with 'background'"):
        tags = read_tag_file(write(rows), NAMES)
    check(tags, {'a': [1, 0, 1, 0], 'b': [0, 0, 1, 0], 'c': [0, 1, 0, 0]})
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        read_tag_file(write({'a': ['background'], 'b': ['background'], 'c': []}), NAMES)


def test_csv_by_hand(write):
    path = write('\ufeffimage,tags\r\na, dog ,wild boar,\r\n\r\nb,cat\r\n', 'tags.csv')
    check(read_tag_file(path, NAMES), {'a': [1, 0, 1, 1], 'b': [1, 1, 0, 0]})


def test_toyvoc(tmp_path):
    """The file, the XMLs and the masks agree."""
    root = tmp_path / 'toy'
    generate_toyvoc(root, 4, 1, seed=0)
    listed = read_tag_file(root / 'tags.json', CLASSES)
    assert len(listed) == 5
    for name, tags in listed.items():
        xml = read_voc_tags(root / 'Annotations' / f'{name}.xml', CLASSES)
        mask = np.array(Image.open(root / 'SegmentationClass' / f'{name}.png'))
        assert (tags == xml).all() and (tags == tags_of_mask(mask, CLASSES)).all()


@pytest.mark.parametrize(
    ('content', 'name', 'match'),
    [
        ({'a': ['cow']}, 'tags.json', r"tags\.json, image 'a', has the tag 'cow', wh"),
        ('{"a": ["dog"], "a": ["cat"]}', 'tags.json', "it has 'a' twice; remove one"),
        ('{"a": ["dog"]', 'tags.json', r'tags\.json is no file of tags of this data'),
        ('["dog"]', 'tags.json', r'it needs \{"image": \["class", …\], …\}'),
        ('{"a": "dog"}', 'tags.json', r'it needs \{"image"'),
        ('{"a": [["dog"]]}', 'tags.json', r'it needs \{"image"'),
        ({'format': 'mmsemi image tags 1'}, 'tags.json', r"no \['classes', 'tags'\]"),
        ('{}', 'tags.json', r'tags\.json has no image: make it with'),
        ('image,tags\n', 'tags.csv', r'tags\.csv has no image: make it with'),
        ('a,dog\n', 'tags.csv', 'first line is \'a,dog\', not "image,tags"'),
        ('', 'tags.csv', "first line is '', not"),
        ('image,tags\na,dog\na,cat\n', 'tags.csv', "it has 'a' twice"),
        ('image,tags\na,cow\n', 'tags.csv', "image 'a', has the tag 'cow'"),
        ('a', 'tags.txt', r'is neither \.json nor \.csv'),
    ],
)
def test_wrong_files(write, content, name, match):
    with pytest.raises(ValueError, match=match):
        read_tag_file(write(content, name), NAMES)


def test_file_of_other_classes(tmp_path):
    path = tmp_path / 'tags.json'
    write_tag_file(path, {'a': np.array([True, False])}, ['dog', 'cat'])
    with pytest.raises(ValueError, match=r"for the classes \['dog', 'cat'\], not for"):
        read_tag_file(path, ['cat', 'dog'])
    with pytest.raises(FileNotFoundError, match='make it with tools/make_image_tags'):
        read_tag_file(tmp_path / 'no.json', NAMES)
    with pytest.raises(ValueError, match=r'neither \.json nor \.csv: choose'):
        write_tag_file(tmp_path / 'tags.txt', {}, NAMES)


@pytest.mark.parametrize('protocol', [2, 5])
def test_pickle(tmp_path, protocol):
    """With and without background, named as PSA and as IRN name images."""
    found = {
        '2007_000032': np.array([0, 1, 1], dtype=np.float32),
        2008123456: np.array([1, 0, 0], dtype=np.float64),
    }
    path = tmp_path / 'cls_labels.npy'
    np.save(path, found)
    check(
        read_pickled_tags(path, NAMES),
        {'2007_000032': [1, 0, 1, 1], '2008_123456': [1, 1, 0, 0]},
    )
    check(
        read_pickled_tags(path, NAMES[1:]),
        {'2007_000032': [0, 1, 1], '2008_123456': [1, 0, 0]},
    )
    # the protocol of an older numpy
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(
            file, dict(descr='|O', fortran_order=False, shape=())
        )
        array = np.empty((), dtype=object)
        array[()] = found
        pickle.dump(array, file, protocol=protocol)
    assert len(read_pickled_tags(path, NAMES)) == 2
    with pytest.raises(ValueError, match="has 3 classes for the image '2007_000032'"):
        read_pickled_tags(path, [*NAMES, 'cow'])


class Evil:
    def __reduce__(self):
        return os.mkdir, ('done',)


def test_pickle_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save('evil.npy', {'a': Evil()})
    with pytest.raises(ValueError, match=r'evil\.npy is no dict .* holds posix\.mkdir'):
        read_pickled_tags('evil.npy', NAMES)
    assert not (tmp_path / 'done').exists()


def test_wrong_pickles(tmp_path):
    path = tmp_path / 'x.npy'
    np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match='it is an array of float64, not a dict'):
        read_pickled_tags(path, NAMES)
    np.save(path, np.array([1, 'a'], dtype=object))
    with pytest.raises(ValueError, match=r'x\.npy is no dict of arrays'):
        read_pickled_tags(path, NAMES)
    np.save(path, {})
    with pytest.raises(ValueError, match='holds no dict of images'):
        read_pickled_tags(path, NAMES)
    np.save(path, {'a': np.zeros(3)})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r'x\.npy is no dict of arrays'):
        read_pickled_tags(path, NAMES)
    path.write_bytes(b'')
    with pytest.raises(ValueError, match=r'x\.npy is no dict of arrays'):
        read_pickled_tags(path, NAMES)
