"""Read label maps and count their classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image

from mmsemi.datasets.atomic import PathLike


def decode(path: PathLike) -> Image.Image:
    """Open and decode a picture; ValueError when it is damaged or truncated."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError) as error:  # PIL: SyntaxError for broken PNGs
        raise ValueError(
            f'{path} cannot be decoded ({error}); it is damaged or truncated, copy it '
            'again.'
        ) from error
    return image


def read_label_map(path: PathLike) -> np.ndarray:
    """Read a label map (palette PNGs as indices) as an (H, W) integer array.

    Raises:
        ValueError: The file is missing, truncated, or a colour picture.
    """
    image = decode(path)
    label = np.array(image)
    if label.ndim != 2 or label.dtype.kind not in 'ui':
        raise ValueError(
            f'{path} is a picture of mode {image.mode}, not a label map; give '
            'single-channel PNGs whose pixel values are class indices.'
        )
    return label


def class_histograms(
    masks: Sequence[Path],
    num_classes: int,
    *,
    ignore_index: int = 255,
    reduce_zero_label: bool = False,
) -> np.ndarray:
    """Count the pixels of each class in each label map.

    Args:
        masks: N label maps.
        num_classes: C.
        ignore_index: Void, not counted.
        reduce_zero_label: As in mmseg: 0 is void, label c + 1 means class c.

    Returns:
        (N, C) int64 pixel counts.

    Raises:
        ValueError: A label map is damaged, or holds a label outside the classes.
    """
    first = int(reduce_zero_label)
    histograms = np.zeros((len(masks), num_classes), dtype=np.int64)
    for row, path in zip(histograms, track_iter_progress(list(masks)), strict=True):
        counts = np.bincount(read_label_map(path).ravel(), minlength=ignore_index + 1)
        counts[ignore_index] = 0
        outside = np.flatnonzero(counts[first + num_classes :])
        if len(outside):
            raise ValueError(
                f'{path} holds the label {outside[0] + first + num_classes}, outside '
                f'the {num_classes} classes and not the void label {ignore_index}; '
                'correct the mask or the number of classes.'
            )
        inside = counts[first : first + num_classes]
        row[: len(inside)] = inside
    return histograms
