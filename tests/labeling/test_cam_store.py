"""Seeds: what is written, what is refused, what a cut leaves."""

import json

import numpy as np
import pytest

from mmsemi.labeling import cam_store
from mmsemi.labeling.cam_store import CamStore, read_seed
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore


def manifest(**changes) -> dict:
    return dict(
        model='m.py',
        checkpoints=['a.pth'],
        sha256=['12'],
        settings=dict(scales=(0.5, 1.0), mode='seam'),
        classes=['background', 'cat', 'dog'],
        images=dict(number=2, sha256='34'),
    ) | dict(changes)


def seed(number: int = 2) -> tuple[np.ndarray, np.ndarray]:
    cam = np.random.default_rng(0).random((number, 4, 5), dtype=np.float32)
    return np.arange(number, 0, -1), cam


def files(folder) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def test_written_in_half_precision(tmp_path):
    store = CamStore(tmp_path, manifest())
    classes, cam = seed()
    store.write('city/a', classes, cam)
    store.write('b', *seed(0))
    assert files(tmp_path) == ['b.npz', 'city/a.npz', 'manifest.json']
    with np.load(tmp_path / 'city/a.npz') as file:
        assert file['cam'].dtype == np.float16 and file['classes'].tolist() == [2, 1]
    found_classes, found = store.read('city/a')
    assert found.dtype == np.float32 and found_classes.dtype == np.int64
    assert (found == cam.astype(np.float16)).all() and found_classes.tolist() == [2, 1]
    empty_classes, empty = store.read('b')
    assert empty.shape == (0, 4, 5) and empty_classes.shape == (0,)
    assert store.has('b') and not store.has('a')


def test_goes_on_and_is_finished(tmp_path):
    store = CamStore(tmp_path, manifest())
    store.write('a', *seed())
    with pytest.raises(ValueError, match='are not all there: run the stage'):
        CamStore.load(tmp_path)
    # paths may change, tuples come back as lists
    again = CamStore(tmp_path, manifest(checkpoints=['b.pth']))
    assert again.has('a')
    again.finish(threshold=0.4)
    found = json.loads((tmp_path / 'manifest.json').read_text())
    assert found['finished'] and found['threshold'] == 0.4 and found['model'] == 'm.py'
    loaded = CamStore.load(tmp_path)
    assert loaded.has('a') and loaded.manifest['classes'] == manifest()['classes']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(sha256=['99']), r'holds seeds of other sha256 .*12.*99'),
        (dict(settings=dict(scales=(0.5, 1.0), mode='max')), 'mode seam, now max'),
        (dict(classes=['background', 'cat']), 'other classes'),
        (dict(images=dict(number=3, sha256='35')), 'number 2, now 3'),
    ],
)
def test_seeds_of_another_run(changes, message, tmp_path):
    CamStore(tmp_path, manifest()).write('x/a', *seed())
    before = files(tmp_path)
    with pytest.raises(ValueError, match=message):
        CamStore(tmp_path, manifest(**changes))
    assert files(tmp_path) == before
    store = CamStore(tmp_path, manifest(**changes), overwrite=True)
    assert files(tmp_path) == ['manifest.json'] and not store.has('x/a')


@pytest.mark.parametrize('overwrite', [False, True])
def test_other_folders_are_refused(tmp_path, overwrite):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/a.npz').write_text('kept')
    with pytest.raises(ValueError, match='mine holds 1 files not written by this'):
        CamStore(tmp_path / 'mine', manifest(), overwrite=overwrite)
    assert (tmp_path / 'mine/a.npz').read_text() == 'kept'
    PseudoLabelStore(tmp_path / 'labels', manifest(), [[0, 0, 0]])
    with pytest.raises(ValueError, match='labels holds pseudo-labels: give an empty'):
        CamStore(tmp_path / 'labels', manifest(), overwrite=overwrite)
    CamStore(tmp_path / 'seeds', manifest())
    with pytest.raises(ValueError, match='seeds holds 1 files not written by this'):
        PseudoLabelStore(tmp_path / 'seeds', manifest(), [[0, 0, 0]])
    for name in ('labels', 'nothing'):
        with pytest.raises(ValueError, match=f'{name} holds no seeds'):
            CamStore.load(tmp_path / name)


def test_a_cut_leaves_no_file(tmp_path, monkeypatch):
    store = CamStore(tmp_path, manifest())

    def cut(path, data):
        path.with_name(f'.{path.name}.7.tmp').write_bytes(data[:40])
        raise KeyboardInterrupt

    monkeypatch.setattr(cam_store, 'write_whole', cut)
    with pytest.raises(KeyboardInterrupt):
        store.write('a', *seed())
    monkeypatch.undo()
    assert not store.has('a') and files(tmp_path) == ['.a.npz.7.tmp', 'manifest.json']
    CamStore(tmp_path, manifest())
    assert files(tmp_path) == ['manifest.json']


def test_damaged_files(tmp_path):
    store = CamStore(tmp_path, manifest())
    store.write('a', *seed())
    path = tmp_path / 'a.npz'
    whole = path.read_bytes()
    for part in (b'', whole[:40], whole[:-30], whole[:200] + b'xxxx' + whole[204:]):
        path.write_bytes(part)
        assert not store.has('a')
        with pytest.raises(
            ValueError, match=r'seed .*a\.npz cannot be read: delete it'
        ):
            store.read('a')
    np.savez(path, cam=np.zeros(3))
    with pytest.raises(ValueError, match='cannot be read'):
        store.read('a')
    np.savez(path, cam=np.zeros((1, 2, 2)), classes=np.array([3]))
    with pytest.raises(ValueError, match=r'has the classes \[3\], outside of 1 to 2'):
        read_seed(path, 3)
    with pytest.raises(FileNotFoundError, match=r'b\.npz does not exist: delete'):
        store.read('b')


@pytest.mark.parametrize(
    ('classes', 'cam', 'message'),
    [
        ([1], np.zeros((2, 3, 3)), r'classes of shape \(1,\) and maps of shape \(2, 3'),
        ([1], np.zeros((3, 3)), r'maps of shape \(3, 3\)'),
        ([0], np.zeros((1, 3, 3)), r'the classes \[0\], outside of 1 to 2'),
        ([1, 3], np.zeros((2, 3, 3)), 'outside of 1 to 2'),
        ([1.5], np.zeros((1, 3, 3)), r'the classes \[1\.5\]'),
        ([2, 2], np.zeros((2, 3, 3)), 'one of them twice'),
        ([1], np.full((1, 3, 3), np.nan), 'not finite in half precision .normalise'),
        ([1], np.full((1, 3, 3), 1e5), 'not finite in half precision'),
    ],
)
def test_wrong_seeds(classes, cam, message, tmp_path):
    store = CamStore(tmp_path, manifest())
    with pytest.raises(ValueError, match=f'the seed of a has .*{message}'):
        store.write('a', np.array(classes), cam)
    assert files(tmp_path) == ['manifest.json']
