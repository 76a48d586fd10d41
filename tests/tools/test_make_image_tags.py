"""The tag file, written once from XMLs, masks or a pickle."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.annotations.tag_files import read_tag_file

SCRIPT = Path(__file__).parents[2] / 'tools' / 'make_image_tags.py'
spec = importlib.util.spec_from_file_location('make_image_tags', SCRIPT)
make_image_tags = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_image_tags)
CLASSES = ['background', 'cat', 'wild boar']


@pytest.fixture
def data(tmp_path):
    """Masks and XMLs of three images, in subfolders."""
    for folder in ('masks/x', 'xml/x'):
        (tmp_path / folder).mkdir(parents=True)
    for i in range(3):
        mask = np.array([[1 + i % 2, 255]], np.uint8)
        Image.fromarray(mask).save(tmp_path / f'masks/x/{i}.png')
        xml = f'<a><object><name>{CLASSES[1 + i % 2]}</name></object></a>'
        (tmp_path / f'xml/x/{i}.xml').write_text(xml)
    (tmp_path / 'ids.txt').write_text('x/2\nx/0\nx/1\n')
    return tmp_path


def run(command, src, **options):
    argv = [command, str(src), '--classes', ','.join(CLASSES)]
    for key, value in options.items():
        argv.append('--' + key.replace('_', '-'))
        argv += [] if value is True else [str(value)]
    return make_image_tags.main(argv)


def rows(path):
    return {k: v.astype(int).tolist() for k, v in read_tag_file(path, CLASSES).items()}


@pytest.mark.parametrize('suffix', ['.json', '.csv'])
@pytest.mark.parametrize('source', ['masks', 'xml'])
def test_masks_and_xmls(data, source, suffix, capsys):
    out = data / f'new/tags{suffix}'
    command = 'voc' if source == 'xml' else source
    assert run(command, data / source, ids=data / 'ids.txt', out=out) == 0
    assert rows(out) == {'x/2': [1, 1, 0], 'x/0': [1, 1, 0], 'x/1': [1, 0, 1]}
    printed = capsys.readouterr().out
    assert '3 images' in printed and '2  cat' in printed and '1  wild boar' in printed


def test_pickle_is_warned_of(data, capsys):
    np.save(data / 'cls.npy', {f'x/{i}': np.array([i, 1]) for i in range(4)})
    out = data / 'tags.json'
    assert run('npy', data / 'cls.npy', ids=data / 'ids.txt', out=out) == 0
    assert rows(out) == {'x/2': [1, 1, 1], 'x/0': [1, 0, 1], 'x/1': [1, 1, 1]}
    assert 'WARNING' in capsys.readouterr().err
    assert run('npy', data / 'cls.npy', out=data / 'all.json') == 0
    assert len(rows(data / 'all.json')) == 4
    (data / 'ids.txt').write_text('y\n')
    assert run('npy', data / 'cls.npy', ids=data / 'ids.txt', out=out) == 1
    assert "has no tags of 'y' (1 of" in capsys.readouterr().err


def test_other_tags_are_not_replaced(data, capsys):
    options = dict(ids=data / 'ids.txt', out=data / 'tags.json')
    assert run('masks', data / 'masks', **options) == 0
    assert run('voc', data / 'xml', **options) == 0  # the same tags
    (data / 'ids.txt').write_text('x/0\n')
    assert run('masks', data / 'masks', **options) == 1
    assert 'exists and holds something else' in capsys.readouterr().err
    assert len(rows(data / 'tags.json')) == 3
    assert run('masks', data / 'masks', force=True, **options) == 0
    assert len(rows(data / 'tags.json')) == 1


def test_bad_input_is_one_sentence(data, capsys):
    options = dict(ids=data / 'ids.txt', out=data / 'tags.json')
    assert run('masks', data / 'xml', **options) == 1
    assert run('masks', data / 'masks', **options | dict(out=data / 'tags.txt')) == 1
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(data / 'masks/x/0.png')
    assert run('masks', data / 'masks', **options) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(
        line.startswith('make_image_tags: ') for line in lines
    )
    assert 'has no tag of a class: add the tags of x/0' in lines[2]
    assert not (data / 'tags.json').exists()
    assert run('masks', data / 'masks', allow_empty=True, **options) == 0


def test_zero_label(data):
    Image.fromarray(np.array([[0, 2]], np.uint8)).save(data / 'masks/x/0.png')
    (data / 'ids.txt').write_text('x/0\n')
    options = dict(ids=data / 'ids.txt', out=data / 'tags.json')
    assert run('masks', data / 'masks', reduce_zero_label=True, **options) == 0
    assert rows(data / 'tags.json') == {'x/0': [1, 1, 0]}
