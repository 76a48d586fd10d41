"""All thresholds at once against one argmax after the other."""

import math

import numpy as np
import pytest
from PIL import Image

from mmsemi.labeling.cam_evaluation import (
    THRESHOLDS,
    BackgroundSweep,
    CamEvaluation,
    evaluate_cams,
)
from mmsemi.labeling.cam_store import CamStore

CLASSES = ['background', 'cat', 'dog', 'cow', 'bird']
SEEDS = {'a': [1, 2], 'x/b': [3], 'c': []}


def make_maps(number, seed=0):
    """Maps in steps of 1/50, so that many values equal a threshold."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-5, 51, (number, 6, 7)) / 50).astype(np.float16)


def make_truth(seed=0):
    truth = np.random.default_rng(100 + seed).integers(0, 4, (6, 7)).astype(np.uint8)
    truth[0, :3] = 255
    return truth


def slow_iou(images, thresholds):
    """One threshold, image and pixel after the other; five classes."""
    out = []
    for threshold in thresholds:
        hit, predicted, true = [0] * 5, [0] * 5, [0] * 5
        for classes, cam, truth in images:
            for y in range(6):
                for x in range(7):
                    if truth[y, x] == 255:
                        continue
                    scores = [np.float32(threshold)]
                    scores += [np.float32(m[y, x]) for m in cam]
                    label = [0, *classes][scores.index(max(scores))]
                    predicted[label] += 1
                    true[truth[y, x]] += 1
                    hit[label] += label == truth[y, x]
        row = []
        for c in range(5):
            union = predicted[c] + true[c] - hit[c]
            row.append(100 * hit[c] / union if union else math.nan)
        out.append(row)
    return np.array(out)


def make_images():
    return [
        (np.array(classes, dtype=int), make_maps(len(classes), i), make_truth(i))
        for i, classes in enumerate(SEEDS.values())
    ]


@pytest.mark.parametrize('thresholds', [THRESHOLDS, (0.3,), (-0.1, 0.0, 0.5, 2.0)])
def test_matches_slow_computation(thresholds):
    sweep = BackgroundSweep(5, thresholds)
    for image in make_images():
        sweep.add(*image)
    expected = slow_iou(make_images(), thresholds)
    np.testing.assert_allclose(sweep.iou(), expected, rtol=1e-12)
    assert np.isnan(expected[:, 4]).all()  # neither predicted nor true


def test_background_wins_ties():
    sweep = BackgroundSweep(2, (0.5,))
    cam = np.array([[[0.5, 0.50001]]], np.float32)
    sweep.add(np.array([1]), cam, np.array([[0, 1]]))
    assert sweep.iou().tolist() == [[100, 100]]


def test_counts_have_64_bits():
    """COCO's background has more pixels than 32 bits count."""
    sweep = BackgroundSweep(2, (0.1, 0.5))
    cam = np.array([[[0.0, 0.2, 0.9]]], np.float32)
    sweep.add(np.array([1]), cam, np.array([[0, 0, 1]]))
    before = sweep.iou()
    for counts in (sweep._predicted, sweep._hit, sweep._background, sweep._truth):
        counts *= 5_000_000_000
    np.testing.assert_allclose(sweep.iou(), before)
    assert before.tolist() == [[50, 50], [100, 100]]


@pytest.fixture
def store(tmp_path):
    manifest = dict(classes=CLASSES, sha256=[], settings={}, images={})
    store = CamStore(tmp_path / 'seeds', manifest)
    (tmp_path / 'masks/x').mkdir(parents=True)
    for name, (classes, cam, truth) in zip(SEEDS, make_images(), strict=True):
        store.write(name, classes, cam)
        Image.fromarray(truth).save(tmp_path / f'masks/{name}.png')
    return store


@pytest.fixture
def truths(tmp_path):
    return {name: tmp_path / f'masks/{name}.png' for name in SEEDS}


def test_folder(store, truths, tmp_path):
    found = evaluate_cams(store, truths)
    expected = slow_iou(make_images(), THRESHOLDS)
    np.testing.assert_allclose(found.iou, expected, rtol=1e-12)
    mean = np.nanmean(expected, 1)
    np.testing.assert_allclose(found.miou, mean)
    assert found.best == mean.argmax() and found.classes == tuple(CLASSES)
    text = f'mIoU {mean.max():.2f} at the background threshold {found.best / 100:g} '
    assert text in str(found)
    found.save_curve(tmp_path / 'new/curve.png')
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['curve.png']
    with Image.open(tmp_path / 'new/curve.png') as curve:
        assert curve.size == (750, 480)
    found.save_curve(tmp_path / 'new/curve.svg')
    assert b'<svg' in (tmp_path / 'new/curve.svg').read_bytes()


def test_some_images_only(store, truths):
    found = evaluate_cams(store, {'a': truths['a']}, thresholds=(0.25,))
    expected = slow_iou(make_images()[:1], (0.25,))
    np.testing.assert_allclose(found.iou, expected, rtol=1e-12)


def test_absent_classes_are_left_out_of_the_mean():
    iou = np.array([[50, np.nan, 100], [np.nan] * 3])
    found = CamEvaluation(np.array([0.1, 0.2]), ('a', 'b', 'c'), iou)
    assert found.miou.tolist() == [75, 0] and found.best == 0


def test_wrong_input(store, truths, tmp_path):
    with pytest.raises(ValueError, match=r'thresholds=\[0.2, 0.1\]…: give ascending'):
        BackgroundSweep(3, (0.2, 0.1))
    with pytest.raises(ValueError, match=r'thresholds=\[\]'):
        BackgroundSweep(3, ())
    with pytest.raises(ValueError, match=r'no image of .*seeds to score'):
        evaluate_cams(store, {})
    with pytest.raises(FileNotFoundError, match=r'd\.npz does not exist'):
        evaluate_cams(store, {'d': truths['a']})
    Image.fromarray(make_truth()[:5]).save(truths['a'])
    message = r'a\.npz and .*a\.png: the maps are \(6, 7\), but the truth is \(5, 7\)'
    with pytest.raises(ValueError, match=message):
        evaluate_cams(store, truths)
    Image.fromarray(make_truth() + np.uint8(5)).save(truths['a'])
    with pytest.raises(ValueError, match=r'a\.png holds the label 5, outside the 5'):
        evaluate_cams(store, truths)
