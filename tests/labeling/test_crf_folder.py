"""Labels from seeds: against single steps, over processes, cut and resumed."""

import math
import signal

import numpy as np
import pytest
from PIL import Image

from mmsemi.labeling import crf_folder as module
from mmsemi.labeling.cam_store import CamStore
from mmsemi.labeling.crf_folder import (
    CrfJob,
    check_crf,
    crf_scores,
    crf_seeds,
)
from mmsemi.labeling.processes import in_processes
from mmsemi.labeling.pseudo_label_folder import read_manifest
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.models.utils.dense_crf import dense_crf

CLASSES = ['background', 'cat', 'dog', 'cow']
SEEDS = {'a': [1, 3], 'x/b': [2], 'c': []}
CRF = dict(iterations=3, gauss=(3, 3), bilateral=(20, 13, 10), backend='numpy')


def manifest(**changes) -> dict:
    return dict(classes=CLASSES, sha256=['1'], settings={}, images={}) | changes


@pytest.fixture
def seeds(tmp_path):
    """Three images of (10, 12), and their seeds."""
    rng = np.random.default_rng(0)
    store = CamStore(tmp_path / 'seeds', manifest())
    (tmp_path / 'images/x').mkdir(parents=True)
    for name, classes in SEEDS.items():
        store.write(
            name, np.array(classes, dtype=int), rng.random((len(classes), 10, 12))
        )
        image = (
            rng.integers(0, 256, (5, 6, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
        )
        Image.fromarray(image).save(tmp_path / f'images/{name}.png')
    store.finish()
    return CamStore.load(tmp_path / 'seeds')


@pytest.fixture
def images(tmp_path):
    return {name: tmp_path / f'images/{name}.png' for name in SEEDS}


def store_of(tmp_path, name='labels', **changes):
    return PseudoLabelStore(tmp_path / name, manifest(**changes), [[0, 0, 0]] * 4)


def expected_label(seeds, images, name, background, crf):
    """PSA's steps, one by one."""
    classes, cam = seeds.read(name)
    scores = np.concatenate([np.full((1, 10, 12), background, np.float32), cam])
    if crf:
        scores = dense_crf(np.array(Image.open(images[name])), scores.clip(0, 1), **crf)
    return np.array([0, *classes])[scores.argmax(0)]


@pytest.mark.parametrize('crf', [None, CRF])
def test_one_background(seeds, images, tmp_path, crf):
    out = store_of(tmp_path)
    backgrounds = [dict(threshold=0.5)]
    result = crf_seeds(
        seeds, images, out, backgrounds=backgrounds, crf=crf, num_workers=0
    )
    assert (result.written, result.skipped, result.void) == (3, 0, 0)
    counts = np.zeros(4, dtype=int)
    for name in SEEDS:
        expected = expected_label(seeds, images, name, 0.5, crf)
        assert (out.read(name) == expected).all()
        counts += np.bincount(expected.ravel(), minlength=4)
    assert result.pixels == dict(zip(CLASSES, counts.tolist(), strict=True))
    assert (counts > 0).all()
    found = read_manifest(tmp_path / 'labels')
    assert found['finished'] and found['pixels'] == result.pixels
    assert not out.read('c').any()  # no class, no foreground


def test_two_backgrounds_keep_what_is_sure(seeds, images, tmp_path):
    out = store_of(tmp_path)
    backgrounds = [dict(threshold=0.7), dict(threshold=0.3)]
    result = crf_seeds(
        seeds, images, out, backgrounds=backgrounds, crf=CRF, num_workers=0
    )
    void = 0
    for name in SEEDS:
        strong, weak = (
            expected_label(seeds, images, name, level, CRF) for level in (0.7, 0.3)
        )
        expected = np.where(weak == 0, 0, np.where(strong == 0, 255, strong))
        assert (out.read(name) == expected).all()
        void += (expected == 255).sum()
    assert result.void == void > 0


def test_background_of_psa(seeds, images, tmp_path):
    out = store_of(tmp_path)
    options = dict(backgrounds=[dict(power=4)], crf=None, num_workers=0)
    crf_seeds(seeds, images, out, **options)
    classes, cam = seeds.read('a')
    expected = np.where((1 - cam.max(0)) ** 4 >= cam.max(0), 0, classes[cam.argmax(0)])
    assert (out.read('a') == expected).all()


@pytest.mark.slow
def test_processes_give_the_same(seeds, images, tmp_path):
    results = []
    for workers in (0, 2):
        out = store_of(tmp_path, f'labels{workers}')
        backgrounds = [dict(threshold=0.6), dict(threshold=0.4)]
        options = dict(backgrounds=backgrounds, crf=CRF, num_workers=workers)
        crf_seeds(seeds, images, out, **options)
        results.append([out.path(name).read_bytes() for name in SEEDS])
    assert results[0] == results[1]


def test_goes_on_where_it_was_cut(seeds, images, tmp_path, monkeypatch):
    done, label = [], module._label_seed

    def cut(number, backgrounds, crf, job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job[0])
        return label(number, backgrounds, crf, job)

    monkeypatch.setattr(module, '_label_seed', cut)
    options = dict(backgrounds=[dict(threshold=0.5)], crf=None, num_workers=0)
    with pytest.raises(KeyboardInterrupt):
        crf_seeds(seeds, images, store_of(tmp_path), **options)
    assert (
        done == ['a', 'x/b'] and read_manifest(tmp_path / 'labels')['finished'] is False
    )
    done.clear()
    again = store_of(tmp_path)
    (tmp_path / 'labels/a.png').write_bytes(b'damaged')
    result = crf_seeds(seeds, images, again, **options)
    assert done == ['a', 'c'] and (result.written, result.skipped) == (2, 1)
    assert sum(result.pixels.values()) == 3 * 120
    assert crf_seeds(seeds, images, again, **options).skipped == 3


def test_scores_are_computed_for_what_is_missing(seeds, images, tmp_path):
    asked = []

    def compute(names):
        asked.append(list(names))
        for name in names:
            classes, cam = seeds.read(name)
            scores = np.concatenate([np.full((1, 10, 12), 0.5), cam])
            yield CrfJob(name, images[name], classes, scores)

    out = store_of(tmp_path)
    for number in (2, 3):
        crf_scores(list(SEEDS)[:number], compute, out, crf=CRF, num_workers=0)
    assert asked == [['a', 'x/b'], ['c']]
    for name in SEEDS:
        assert (out.read(name) == expected_label(seeds, images, name, 0.5, CRF)).all()


def test_jobs_are_taken_as_needed_and_errors_come_through():
    """One process, of a function that needs no import of this package."""
    taken, found = [], []

    def jobs():
        for i in range(100):
            taken.append(i)
            yield i * i if i < 30 else -1

    with pytest.raises(ValueError, match=r'expected a nonneg|isqrt|math domain'):
        for result in in_processes(math.isqrt, jobs(), 1):
            found.append(result)
            assert len(taken) <= len(found) + 4
    assert found == list(range(30))


@pytest.mark.slow
def test_killed_process():
    """As the kernel does when memory is short."""
    with pytest.raises(RuntimeError, match='a process was killed, perhaps for memory'):
        list(in_processes(signal.raise_signal, [signal.SIGKILL] * 3, 1))


def test_wrong_images(seeds, images, tmp_path):
    options = dict(backgrounds=[dict(threshold=0.5)], crf=CRF, num_workers=0)
    image = np.array(Image.open(images['a']))
    Image.fromarray(image[:8]).save(images['a'])
    message = r'the seed of a and .*a\.png: prob has shape \(3, 10, 12\), but the image'
    with pytest.raises(ValueError, match=message):
        crf_seeds(seeds, images, store_of(tmp_path), **options)
    images['a'].write_bytes(b'x')
    with pytest.raises(ValueError, match=r'a\.png cannot be decoded'):
        crf_seeds(seeds, images, store_of(tmp_path), **options)
    images['a'].unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png'):
        crf_seeds(seeds, images, store_of(tmp_path), **options)
    with pytest.raises(FileNotFoundError, match=r'seed .*new\.npz does not exist'):
        crf_seeds(seeds, {'new': 'x.png'}, store_of(tmp_path), **options)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(backgrounds=[]), '0 backgrounds: give one, or a strong and a weak one'),
        (
            dict(backgrounds=[dict(treshold=1)]),
            "unexpected keyword argument 'treshold'",
        ),
        (dict(backgrounds=[dict(power=-1)]), 'power=-1 must be above 0'),
        (dict(crf=dict(iteration=3)), r"crf=\{'iteration': 3\}.* unexpected keyword"),
        (dict(crf=dict(iterations=-3)), 'iterations=-3: give an integer'),
        (dict(crf=dict(confidence=2)), r'confidence=2 must be in \(0, 1\)'),
        (dict(crf=dict(num_labels=2)), 'num_labels=2 is for confidence'),
        (dict(num_workers=-1), 'num_workers=-1 must be at least 0'),
    ],
)
def test_wrong_settings_before_the_first_image(change, message, seeds, tmp_path):
    options = dict(backgrounds=[dict(threshold=0.5)], crf=CRF, num_workers=0)
    with pytest.raises(ValueError, match=message):
        crf_seeds(seeds, {'a': 'none.png'}, store_of(tmp_path), **options | change)


def test_good_settings():
    check_crf(CRF | dict(confidence=0.7, num_labels=21), [dict(power=4)])
    check_crf(None)
