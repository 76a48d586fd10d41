"""Make and check splits; :mod:`.files` reads their lists."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsemi.datasets.annotations.label_maps import class_histograms, decode
from mmsemi.datasets.atomic import PathLike, write_splits

from .files import image_id, parse_split, read_pair, read_split

__all__ = [
    'SplitReport',
    'check_split',
    'class_histograms',
    'generate_split',
    'image_id',
    'parse_split',
    'read_pair',
    'read_split',
    'write_splits',
]


def generate_split(
    ids: Sequence[str],
    num: int | None = None,
    *,
    fraction: float | None = None,
    seed: int = 0,
    class_histograms: np.ndarray | None = None,
) -> tuple[list[str], list[str]]:
    """Draw the labeled images; both lists keep the order of ``ids``.

    The plain rule is ``default_rng(seed).permutation(len(ids))[:num]``, so the
    labeled images of a small split are labeled in every larger one of the same seed.
    The balanced rule (see :func:`_balanced_order`) nests as well.

    Args:
        ids: All images, without duplicates.
        num: How many to label, 1 to ``len(ids) - 1``.
        fraction: Instead of ``num``: which part to label. Rounded up, as the published
            lists are (1/16 of 10582 is 662).
        seed: Of the permutation.
        class_histograms: (len(ids), C) pixel counts; given, the choice is balanced.

    Raises:
        ValueError: Not exactly one of ``num`` and ``fraction``, one out of range,
            duplicates, or too few images to show every class.
    """
    if len(set(ids)) != len(ids):
        raise ValueError('The ids to split hold duplicates; remove them.')
    if num is None and fraction is not None:
        # 0.07 * 100 is 7.000000000000001: rounding keeps ceil from making it 8
        num = math.ceil(round(fraction * len(ids), 6))
    elif num is None or fraction is not None:
        raise ValueError('Give either num or fraction, not both and not none.')
    if not 0 < num < len(ids):
        raise ValueError(
            f'Cannot label {num} of {len(ids)} images: choose 1 to {len(ids) - 1}, so '
            'that both lists hold images.'
        )
    order = np.random.default_rng(seed).permutation(len(ids))
    if class_histograms is not None:
        order = _balanced_order(order, class_histograms, num)
    chosen = set(order[:num].tolist())
    labeled = [name for i, name in enumerate(ids) if i in chosen]
    unlabeled = [name for i, name in enumerate(ids) if i not in chosen]
    return labeled, unlabeled


def _balanced_order(order: np.ndarray, histograms: np.ndarray, num: int) -> np.ndarray:
    """Pick ``num`` images so that every class appears, about equally often.

    Greedy: each step serves the class with the fewest labeled images so far (of equal
    ones the class that is rarest in the pool) with the image of that class that shows
    most unseen classes, the earliest in the seeded order where several do. When no
    image is left for any class (pure void), the seeded order goes on.
    """
    if len(histograms) != len(order):
        raise ValueError(
            f'{len(histograms)} histograms for {len(order)} images: give one each.'
        )
    present = np.asarray(histograms)[order] > 0
    rarity = present.sum(0)
    times = np.zeros(present.shape[1], dtype=int)
    left = np.ones(len(order), dtype=bool)
    picks: list[int] = []
    while len(picks) < num:
        open_classes = np.flatnonzero(present[left].any(0))
        pool = left
        if len(open_classes):
            needy = min(open_classes, key=lambda c: (times[c], rarity[c], c))
            pool = left & present[:, needy]
        gain = (present & (times == 0)).sum(1)
        pick = int(np.argmax(np.where(pool, gain, -1)))
        picks.append(pick)
        left[pick] = False
        times += present[pick]
    unseen = np.flatnonzero((times == 0) & (rarity > 0))
    if len(unseen):
        raise ValueError(
            f'{num} labeled images do not show class {unseen.tolist()}; label more '
            'images or make a split that is not balanced.'
        )
    return order[picks]


@dataclass(frozen=True)
class SplitReport:
    """What :func:`check_split` counted.

    Attributes:
        num_labeled: |L|.
        num_unlabeled: |U|.
        pixels: (C,) pixels of each class in the labeled masks; None when not asked.
        images: (C,) labeled images that show each class; None when not asked.
    """

    num_labeled: int
    num_unlabeled: int
    pixels: np.ndarray | None = None
    images: np.ndarray | None = None


def _files(kind: str, ids: Sequence[str], folder: PathLike, suffix: str) -> list[Path]:
    """Return the files of the ids, which must all exist."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'There is no folder {folder} with the {kind}.')
    paths = [Path(folder) / f'{name}{suffix}' for name in ids]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(ids)} {kind} are missing, first {missing[0]}; '
            'correct the list, the folder or the suffix.'
        )
    return paths


def check_split(
    labeled: PathLike,
    unlabeled: PathLike,
    *,
    img_dir: PathLike | None = None,
    img_suffix: str = '.jpg',
    mask_dir: PathLike | None = None,
    seg_map_suffix: str = '.png',
    num_classes: int | None = None,
    ignore_index: int = 255,
    reduce_zero_label: bool = False,
    verify: bool = False,
) -> SplitReport:
    """Check a pair of lists, and the files they name. Unlabeled images need no mask.

    Args:
        labeled: List of labeled images.
        unlabeled: List of unlabeled images.
        img_dir: Given, every image must be there.
        img_suffix: Of the images, mmseg's ``img_suffix``.
        mask_dir: Given, the mask of every labeled image must be there.
        seg_map_suffix: Of the masks.
        num_classes: C; given with ``mask_dir``, the labels are checked and counted.
        ignore_index: Void label.
        reduce_zero_label: See :func:`class_histograms`.
        verify: Decode every image (slow) to find damaged ones.

    Raises:
        FileNotFoundError: A list, an image or a labeled image's mask is missing.
        ValueError: Overlap, duplicates, an empty list, a damaged file, or a label
            outside the classes.
    """
    first, second = read_pair(labeled, unlabeled)
    if img_dir is not None:
        images = _files('images', [*first, *second], img_dir, img_suffix)
        if verify:
            for path in track_iter_progress(images):
                decode(path)
    if mask_dir is None:
        return SplitReport(len(first), len(second))
    masks = _files('masks of labeled images', first, mask_dir, seg_map_suffix)
    if num_classes is None:
        return SplitReport(len(first), len(second))
    histograms = class_histograms(
        masks,
        num_classes,
        ignore_index=ignore_index,
        reduce_zero_label=reduce_zero_label,
    )
    return SplitReport(
        len(first), len(second), histograms.sum(0), (histograms > 0).sum(0)
    )
