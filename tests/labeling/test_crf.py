"""Labels after a CRF that starts from scores, or from labels."""

import numpy as np
import pytest

from mmsemi.labeling.crf import crf_label, label_probability
from mmsemi.models.utils.dense_crf import dense_crf

CRF = dict(iterations=3, gauss=(3, 3), bilateral=(20, 13, 10), backend='numpy')


def make():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, 9, 3), dtype=np.uint8), rng.random((3, 8, 9))


def test_from_scores():
    """PSA's start; scores outside of [0, 1] are bounded."""
    image, scores = make()
    scores = 1.4 * scores - 0.2
    prob = np.minimum(np.maximum(scores, 0), 1)
    expected = np.array([0, 2, 7])[dense_crf(image, prob, **CRF).argmax(0)]
    assert (crf_label(image, [2, 7], scores, **CRF) == expected).all()
    assert (expected != np.array([0, 2, 7])[scores.argmax(0)]).any()


def test_without_classes_all_is_background():
    image, scores = make()
    assert not crf_label(image, [], scores[:1], **CRF).any()
    label = crf_label(image, [], scores[:1], confidence=0.7, num_labels=21, **CRF)
    assert not label.any()


@pytest.mark.parametrize('number', [None, 21])
def test_from_labels(number):
    """IRN's and TransCAM's start: the label has 0.7, the rest is shared."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    scores = rng.random((3, 8, 9))
    total = number or 3
    prob = np.full((total, 8, 9), 0.3 / (total - 1), np.float32)
    np.put_along_axis(prob, scores.argmax(0)[None], 0.7, 0)
    found = dense_crf(image, prob, **CRF).argmax(0)
    expected = np.array([0, 2, 7, *[99] * 18])[found]
    label = crf_label(image, [2, 7], scores, confidence=0.7, num_labels=number, **CRF)
    assert (label == expected).all() and label.dtype == np.uint8
    assert (label != crf_label(image, [2, 7], scores, **CRF)).any()


def test_wrong_scores():
    image, scores = np.zeros((2, 2, 3), np.uint8), np.ones((3, 2, 2))
    with pytest.raises(
        ValueError, match='3 maps of scores for background and 1 classes'
    ):
        crf_label(image, [1], scores)
    with pytest.raises(
        ValueError, match='num_labels=2, but the image has 3 with backg'
    ):
        crf_label(image, [1, 2], scores, confidence=0.7, num_labels=2)


def test_label_probability():
    label = np.array([[0, 2], [1, 1]])
    found = label_probability(label, 4, confidence=0.7)
    assert found.shape == (4, 2, 2) and found.dtype == np.float32
    assert found[:, 0, 1].tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1])
    assert found.sum(0).ravel().tolist() == pytest.approx([1] * 4)
    assert (label_probability(label * 0, 1) == 1).all()


@pytest.mark.parametrize(
    ('label', 'options', 'message'),
    [
        ([[0, 255]], {}, 'the label map holds 255, outside of the 3 labels'),
        ([[-1, 0]], {}, 'the label map holds -1'),
        ([[0, 1]], dict(confidence=1), r'confidence=1 must be in \(0, 1\)'),
    ],
)
def test_wrong_labels(label, options, message):
    with pytest.raises(ValueError, match=message):
        label_probability(np.array(label), 3, **options)
