"""The label of an image from its seeds and a dense CRF."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmsemi.checks import check_range
from mmsemi.models.utils.dense_crf import dense_crf


def crf_label(
    image: np.ndarray,
    classes: Sequence[int] | np.ndarray,
    scores: np.ndarray,
    *,
    confidence: float | None = None,
    num_labels: int | None = None,
    **crf: Any,
) -> np.ndarray:
    """Label an image by the largest of its scores after a dense CRF.

    Args:
        image: (H, W, 3) uint8 RGB.
        classes: Classes 1…C of the maps after the first (K,).
        scores: (K + 1, H, W), the background first.
        confidence: Start from the labels of the largest scores, each with this
            probability (IRN and TransCAM: 0.7). By default from the scores
            themselves, bounded to [0, 1] (PSA).
        num_labels: With ``confidence``, labels of the CRF, which share the rest
            (TransCAM: 21, all of VOC; IRN: those of the image, the default).
        **crf: ``iterations``, ``gauss``, ``bilateral`` and ``backend`` of
            :func:`~mmsemi.models.utils.dense_crf.dense_crf`.

    Returns:
        (H, W) uint8 of 0 and ``classes``.

    Raises:
        ValueError: Image, classes and scores do not fit, or an argument is outside
            its range.
    """
    names = np.array([0, *classes], dtype=np.int64)
    if len(names) != len(scores):
        raise ValueError(
            f'{len(scores)} maps of scores for background and {len(classes)} classes'
        )
    scores = np.asarray(scores, dtype=np.float32)
    if confidence is None:
        if num_labels is not None:
            raise ValueError(f'num_labels={num_labels} is for confidence: give both')
        prob = scores.clip(0, 1)
    else:
        number = num_labels or len(names)
        if number < len(names):
            raise ValueError(
                f'num_labels={number}, but the image has {len(names)} with background'
            )
        # the other labels have no pixel: which they are does not matter
        prob = label_probability(scores.argmax(0), number, confidence=confidence)
    # labels without a pixel cannot win, but if all are equal
    found = dense_crf(image, prob, **crf)[: len(names)]
    return names[found.argmax(0)].astype(np.uint8)


def label_probability(
    label: np.ndarray, num_labels: int, *, confidence: float = 0.7
) -> np.ndarray:
    """Turn a label map into the probabilities that a CRF starts from.

    As IRN and TransCAM do: ``confidence`` for the label, the rest shared by the
    others, so that the result depends on ``num_labels`` (they take 21 for VOC).

    Args:
        label: (H, W) of 0…K - 1.
        num_labels: K. With one label it has probability 1.
        confidence: In (0, 1).

    Returns:
        (K, H, W) float32.

    Raises:
        ValueError: A label or ``confidence`` is outside its range.
    """
    check_range('(0, 1)', confidence=confidence)
    low, high = (int(label.min()), int(label.max())) if label.size else (0, 0)
    if low < 0 or high >= num_labels:
        wrong = low if low < 0 else high
        raise ValueError(
            f'the label map holds {wrong}, outside of the {num_labels} labels: give '
            'a map without void, or more labels'
        )
    if num_labels == 1:
        return np.ones((1, *label.shape), np.float32)
    rest = (1 - confidence) / (num_labels - 1)
    of_label = label[None] == np.arange(num_labels)[:, None, None]
    return np.where(of_label, np.float32(confidence), np.float32(rest))
