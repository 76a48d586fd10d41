import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / 'tools' / 'make_splits.py'
spec = importlib.util.spec_from_file_location('make_splits', SCRIPT)
make_splits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_splits)


@pytest.fixture
def data(tmp_path):
    """Eight images; image i shows the classes 0 and i % 3."""
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for i in range(8):
        mask = np.array([[0, i % 3, 255]], dtype=np.uint8)
        Image.fromarray(mask).save(tmp_path / 'masks' / f'{i}.png')
        Image.fromarray(mask).save(tmp_path / 'images' / f'{i}.png')
    (tmp_path / 'all.txt').write_text('\n'.join(map(str, range(8))))
    return tmp_path


def run(command, **options):
    argv = [command]
    for key, value in options.items():
        argv.append('--' + key.replace('_', '-'))
        argv += [] if value is True else [str(value)]
    return make_splits.main(argv)


def lines(path):
    return path.read_text().splitlines()


def test_generate_is_the_seeded_rule(data):
    assert run('generate', ids=data / 'all.txt', num=3, seed=5, out=data / 'n') == 0
    want = np.random.default_rng(5).permutation(8)[:3]
    assert lines(data / 'n' / 'labeled.txt') == [str(i) for i in sorted(want)]
    assert len(lines(data / 'n' / 'unlabeled.txt')) == 5
    part = dict(ids=data / 'all.txt', fraction='3/8', seed=5, out=data / 'f')
    assert run('generate', **part) == 0
    assert lines(data / 'f' / 'labeled.txt') == lines(data / 'n' / 'labeled.txt')


def test_generate_refuses_to_overwrite(data, capsys):
    options = dict(ids=data / 'all.txt', num=3, out=data / 'n')
    assert run('generate', **options) == 0 and run('generate', **options) == 0
    before = lines(data / 'n' / 'labeled.txt')
    assert run('generate', **{**options, 'num': 4}) == 1
    assert 'labeled.txt exists and holds another list' in capsys.readouterr().err
    assert lines(data / 'n' / 'labeled.txt') == before
    assert run('generate', **{**options, 'num': 4}, force=True) == 0
    assert len(lines(data / 'n' / 'labeled.txt')) == 4


def test_balanced_then_check(data, capsys):
    masks = dict(masks=data / 'masks', num_classes=3)
    options = dict(ids=data / 'all.txt', num=2, out=data, balanced=True)
    assert run('generate', **options) == 1
    assert '--balanced needs --masks and --num-classes' in capsys.readouterr().err
    assert run('generate', **options, **masks) == 0
    assert {int(i) % 3 for i in lines(data / 'labeled.txt')} == {1, 2}
    pair = dict(labeled=data / 'labeled.txt', unlabeled=data / 'unlabeled.txt')
    images = dict(images=data / 'images', img_suffix='.png', verify=True)
    (data / 'masks' / f'{lines(data / "unlabeled.txt")[0]}.png').unlink()
    capsys.readouterr()
    assert run('check', **pair, **images, **{**masks, 'num_classes': 4}) == 0
    out = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in out[-4:]]
    assert '|L| = 2, |U| = 6' in out[-6]
    assert rows[0][:3] == ['0', '2', '2'] and rows[1][:3] == ['1', '1', '1']
    assert ' '.join(rows[3]) == '3 0 0 0.00% <- in no labeled image'


def test_import_file_and_folder(data, capsys):
    published = data / 'published'
    published.mkdir()
    (published / 'labeled.txt').write_text('JPEGImages/a.jpg SegmentationClass/a.png')
    (published / 'unlabeled.txt').write_text('JPEGImages/b.jpg SegmentationClass/b.png')
    assert make_splits.main(['import', str(published), '--out', str(data / 'o')]) == 0
    assert "labeled.txt: 1 images, 'image mask'" in capsys.readouterr().out
    assert (data / 'o' / 'labeled.txt').read_text() == 'a\n'
    assert (data / 'o' / 'unlabeled.txt').read_text() == 'b\n'
    source = data / 'val.txt'
    source.write_text('shots/c_rgb.png\n')
    argv = ['import', str(source), '--out', str(data / 'o'), '--img-prefix', 'shots']
    assert make_splits.main([*argv, '--img-suffix', '_rgb.png']) == 0
    assert (data / 'o' / 'val.txt').read_text() == 'c\n'
    (published / 'unlabeled.txt').write_text('JPEGImages/a.jpg SegmentationClass/a.png')
    assert make_splits.main(['import', str(published), '--out', str(data / 'p')]) == 1
    assert 'are in both' in capsys.readouterr().err


def test_error_is_one_sentence_and_exit_code_1(tmp_path, capsys, monkeypatch):
    (tmp_path / 'u.txt').write_text('a\n')
    files = ['--labeled', tmp_path / 'gone.txt', '--unlabeled', tmp_path / 'u.txt']
    monkeypatch.setattr(sys, 'argv', ['make_splits.py', 'check', *map(str, files)])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(SCRIPT), run_name='__main__')
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == (
        f'make_splits: There is no list {tmp_path / "gone.txt"}; make it with '
        'tools/make_splits.py.\n'
    )
