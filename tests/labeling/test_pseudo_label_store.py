import errno
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsemi.labeling.pseudo_label_folder import check_label_folder, read_manifest
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore

PALETTE = [[1, 2, 3], [10, 20, 30], [200, 100, 50]]


def manifest(**changes) -> dict:
    return dict(
        model='m.py',
        checkpoints=['a.pth'],
        sha256=['12'],
        settings=dict(scales=(0.5, 1.0), flip=True),
        classes=['x', 'y', 'z'],
        images=dict(number=2, sha256='34'),
    ) | dict(changes)


def label(seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, 3, (7, 5)).astype(np.uint8)
    found[0, 0] = 255
    return found


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def test_palette_pngs(tmp_path):
    with PseudoLabelStore(tmp_path, manifest(), PALETTE) as store:
        store.write('city/a', label(), None)
        store.write('b', label(1), None)
    assert files(tmp_path) == ['b.png', 'city/a.png', 'manifest.json']
    image = Image.open(tmp_path / 'city/a.png')
    assert image.mode == 'P' and (np.array(image) == label()).all()
    colours = np.array(image.convert('RGB'))
    expected = np.array([*PALETTE, [224, 224, 192]])
    index = np.where(label() == 255, 3, label())
    assert (colours == expected[index]).all()
    assert store.has('b') and not store.has('a')
    assert (store.read('b') == label(1)).all()


def test_soft_labels(tmp_path):
    prob = np.random.default_rng(0).random((3, 7, 5)).astype(np.float32)
    with PseudoLabelStore(tmp_path, manifest(), PALETTE, soft=True) as store:
        store.write('s/a', label(), prob)
    found = np.load(tmp_path / 'soft/s/a.npz')['prob']
    assert found.dtype == np.float16 and (found == prob.astype(np.float16)).all()
    assert store.has('s/a')
    (tmp_path / 'soft/s/a.npz').unlink()
    assert not store.has('s/a') and store.read('s/a') is None


def test_damaged_label_counts_as_missing(tmp_path):
    with PseudoLabelStore(tmp_path, manifest(), PALETTE) as store:
        store.write('a', label(), None)
    path = tmp_path / 'a.png'
    path.write_bytes(path.read_bytes()[:40])
    assert store.read('a') is None


def test_manifest_is_compared_and_finished(tmp_path):
    with PseudoLabelStore(tmp_path, manifest(), PALETTE) as store:
        store.write('a', label(), None)
    assert read_manifest(tmp_path)['finished'] is False
    # paths and names may change, tuples come back as lists
    again = PseudoLabelStore(tmp_path, manifest(checkpoints=['b.pth']), PALETTE)
    assert again.has('a')
    again.finish(pixels=dict(x=3))
    found = json.loads((tmp_path / 'manifest.json').read_text())
    assert found['finished'] and found['pixels'] == dict(x=3)
    assert found['checkpoints'] == ['b.pth'] and found['classes'] == ['x', 'y', 'z']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(sha256=['99']), r'other sha256 .*12.*99'),
        (dict(settings=dict(scales=(1.0,), flip=True)), r'scales \[0.5, 1.0\], now'),
        (dict(classes=['x', 'y']), 'other classes'),
        (dict(images=dict(number=3, sha256='35')), 'number 2, now 3'),
    ],
)
def test_labels_of_another_manifest(changes, message, tmp_path):
    with PseudoLabelStore(tmp_path, manifest(), PALETTE, soft=True) as store:
        store.write('s/a', label(), np.ones((3, 7, 5)))
    before = files(tmp_path)
    with pytest.raises(ValueError, match=message):
        PseudoLabelStore(tmp_path, manifest(**changes), PALETTE)
    assert files(tmp_path) == before
    store = PseudoLabelStore(tmp_path, manifest(**changes), PALETTE, overwrite=True)
    assert files(tmp_path) == ['manifest.json'] and not store.has('s/a')
    assert read_manifest(tmp_path)['finished'] is False


def test_overwrite_keeps_equal_labels(tmp_path):
    with PseudoLabelStore(tmp_path, manifest(), PALETTE) as store:
        store.write('a', label(), None)
    assert PseudoLabelStore(tmp_path, manifest(), PALETTE, overwrite=True).has('a')


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('kind', ['masks', 'nested', 'link', 'other manifest'])
def test_ground_truth_is_refused(kind, overwrite, tmp_path):
    folder = truth = tmp_path / 'truth'
    if kind == 'nested':
        truth = folder / 'train' / 'aachen'
    elif kind == 'link':
        truth = tmp_path / 'real'
        folder.mkdir()
        (folder / 'masks').symlink_to(truth)
    truth.mkdir(parents=True)
    for name in 'abc':
        Image.fromarray(label()).save(truth / f'{name}.png')
    if kind == 'other manifest':
        (folder / 'manifest.json').write_text('{"version": 1}')
    number = dict(link=1).get(kind, 3 + (kind == 'other manifest'))
    with pytest.raises(ValueError, match=f'holds {number} files not written by this'):
        PseudoLabelStore(folder, manifest(), PALETTE, overwrite=overwrite)
    with pytest.raises(ValueError, match='is it the ground truth'):
        check_label_folder(folder)
    assert len(files(truth)) == 3 + (kind == 'other manifest')


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / 'x').write_text('')
    with pytest.raises(ValueError, match='x is a file'):
        PseudoLabelStore(tmp_path / 'x', manifest(), PALETTE)


def full_disk(monkeypatch, after: int) -> None:
    """Let the writes of labels fail after some, as those of a full disk do."""
    write, lock, done = Path.write_bytes, threading.Lock(), []

    def failing(path, data):
        with lock:
            if '.png.' in path.name:
                done.append(path)
            if len(done) > after:
                write(path, data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    monkeypatch.setattr(Path, 'write_bytes', failing)


def test_full_disk(tmp_path, monkeypatch):
    store = PseudoLabelStore(tmp_path, manifest(), PALETTE, num_threads=1)
    full_disk(monkeypatch, after=3)
    with pytest.raises(OSError) as error, store:
        for i in range(100):
            store.write(str(i), label(i), None)
    assert str(tmp_path) in str(error.value) and '.png (No space' in str(error.value)
    assert 'free space and run the same command again' in str(error.value)
    assert files(tmp_path) == [*(f'{i}.png' for i in range(3)), 'manifest.json']
    for i in range(3):
        assert (store.read(str(i)) == label(i)).all()


def test_full_disk_at_the_last_label(tmp_path, monkeypatch):
    store = PseudoLabelStore(tmp_path, manifest(), PALETTE)
    full_disk(monkeypatch, after=0)
    with pytest.raises(OSError, match='free space'), store:
        store.write('a', label(), None)


def test_labels_handed_over_before_an_error_are_written(tmp_path):
    store = PseudoLabelStore(tmp_path, manifest(), PALETTE)
    with pytest.raises(KeyError, match='from the loop'), store:
        for i in range(5):
            store.write(str(i), label(i), None)
        raise KeyError('from the loop')
    assert len(list(tmp_path.glob('*.png'))) == 5


def test_the_queue_is_bounded(tmp_path, monkeypatch):
    store = PseudoLabelStore(tmp_path, manifest(), PALETTE, num_threads=1)
    gate, handed = threading.Event(), []
    monkeypatch.setattr(store, '_save', lambda *_: gate.wait(10))

    def produce():
        with store:
            for i in range(9):
                store.write(str(i), label(), None)
                handed.append(i)

    thread = threading.Thread(target=produce)
    thread.start()
    time.sleep(0.3)
    assert len(handed) == 4
    gate.set()
    thread.join()
    assert len(handed) == 9


def test_a_kill_leaves_no_truncated_png(tmp_path):
    big = np.random.default_rng(0).integers(0, 3, (400, 400)).astype(np.uint8)
    child = os.fork()
    if child == 0:
        with PseudoLabelStore(tmp_path, manifest(), PALETTE) as store:
            for i in range(10**6):
                store.write(str(i), big, None)
    while len(list(tmp_path.glob('*.png'))) < 5:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for path in tmp_path.rglob('*.png'):
        assert (np.array(Image.open(path)) == big).all()
    (tmp_path / '.9.png.1.tmp').write_bytes(b'half')
    store = PseudoLabelStore(tmp_path, manifest(), PALETTE)
    assert store.has('0') and not list(tmp_path.rglob('*.tmp'))
