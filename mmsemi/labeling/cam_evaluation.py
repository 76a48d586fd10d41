"""mIoU of seeds under every background threshold, from one look at each seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.utils import track_iter_progress

from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.atomic import PathLike, replacing

from .cam_store import CamStore

THRESHOLDS = tuple(i / 100 for i in range(60))
"""What TransCAM and its relatives sweep: 0 to 0.59."""


@dataclass(frozen=True)
class CamEvaluation:
    """IoU of seeds under each background threshold.

    Attributes:
        thresholds: (T,) ascending.
        classes: C names, background first.
        iou: (T, C) in percent; NaN for a class in neither truth nor prediction.
    """

    thresholds: np.ndarray
    classes: tuple[str, ...]
    iou: np.ndarray

    @property
    def miou(self) -> np.ndarray:
        """Mean (T,) over the classes that are there, in percent."""
        there = ~np.isnan(self.iou)
        total = np.where(there, self.iou, 0).sum(1)
        return total / np.maximum(there.sum(1), 1)

    @property
    def best(self) -> int:
        """Index of the best threshold, the lowest of equal ones."""
        return int(self.miou.argmax())

    def __str__(self) -> str:
        best = self.best
        return (
            f'mIoU {self.miou[best]:.2f} at the background threshold '
            f'{self.thresholds[best]:g} (from {self.thresholds[0]:g} to '
            f'{self.thresholds[-1]:g})'
        )

    def save_curve(self, path: PathLike) -> None:
        """Draw mIoU over the threshold; the suffix says the format, e.g. .png."""
        figure = Figure(figsize=(5, 3.2), layout='constrained')
        axes = figure.subplots()
        axes.plot(self.thresholds, self.miou, color='#1f6fb2')
        best = self.best
        axes.plot(self.thresholds[best], self.miou[best], 'o', color='#d9632a')
        axes.set(xlabel='background threshold', ylabel='mIoU (%)', title=str(self))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
        with replacing(path) as aside:
            figure.savefig(aside, format=Path(path).suffix[1:] or 'png', dpi=150)


class BackgroundSweep:
    """Counts of pixels, from which the IoU under any of the thresholds follows.

    A pixel is background where the threshold is at least its largest activation, and
    of that one's class elsewhere: the largest of ``[threshold, maps]``, background on
    ties. So all thresholds above the activation give one label, and all below the
    other, and one histogram over the thresholds holds what the originals count in as
    many passes. Counts have 64 bits; those of the originals, 32, overflow on COCO.

    Args:
        num_classes: C, with background.
        thresholds: (T,) ascending. They are compared in float32.

    Raises:
        ValueError: The thresholds are not ascending.
    """

    def __init__(
        self, num_classes: int, thresholds: Sequence[float] = THRESHOLDS
    ) -> None:
        self.thresholds = np.asarray(thresholds, dtype=np.float32)
        if not len(self.thresholds) or not (np.diff(self.thresholds) > 0).all():
            raise ValueError(
                f'thresholds={list(thresholds)[:5]}…: give ascending numbers'
            )
        self._number = num_classes
        # by class of the largest map, and by how many thresholds are below it
        shape = num_classes, len(self.thresholds) + 1
        self._predicted = np.zeros(shape, dtype=np.int64)
        self._hit = np.zeros(shape, dtype=np.int64)
        self._background = np.zeros(shape[1], dtype=np.int64)
        self._truth = np.zeros(num_classes, dtype=np.int64)

    def add(self, classes: np.ndarray, cam: np.ndarray, truth: np.ndarray) -> None:
        """Count one image.

        Args:
            classes: Classes of the maps (K,); K may be 0.
            cam: Maps (K, H, W).
            truth: Classes (H, W); those from C on are void.

        Raises:
            ValueError: The sizes of ``cam`` and ``truth`` differ.
        """
        if cam.shape[1:] != truth.shape:
            raise ValueError(
                f'the maps are {cam.shape[1:]}, but the truth is {truth.shape}'
            )
        valid = truth < self._number
        truth = truth[valid].astype(np.int64)
        if len(classes):
            maps = cam.astype(np.float32)[:, valid]
            label = np.asarray(classes, dtype=np.int64)[maps.argmax(0)]
            below = np.searchsorted(self.thresholds, maps.max(0), side='left')
        else:
            label = below = np.zeros(len(truth), dtype=np.int64)
        slot = label * self._predicted.shape[1] + below
        self._predicted += self._count(slot)
        self._hit += self._count(slot[truth == label])
        ends = self._predicted.shape[1]
        self._background += np.bincount(below[truth == 0], minlength=ends)
        self._truth += np.bincount(truth, minlength=self._number)

    def _count(self, slot: np.ndarray) -> np.ndarray:
        counts = np.bincount(slot, minlength=self._predicted.size)
        return counts.reshape(self._predicted.shape)

    def iou(self) -> np.ndarray:
        """Return the IoU (T, C) in percent; NaN where a class is nowhere."""
        total = self._truth.sum()
        # threshold j leaves those foreground that are above more than j thresholds
        predicted = _from_above(self._predicted)
        hit = _from_above(self._hit)
        hit[0] = self._background.cumsum()[:-1]
        predicted[0] = total - predicted[1:].sum(0)
        union = predicted + self._truth[:, None] - hit
        with np.errstate(invalid='ignore'):
            return (100 * hit / np.where(union > 0, union, np.nan)).T


def _from_above(counts: np.ndarray) -> np.ndarray:
    """Sum (C, T + 1) over the bins above each threshold: (C, T)."""
    return counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:].copy()


def evaluate_cams(
    store: CamStore,
    truths: Mapping[str, PathLike],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    ignore_index: int = 255,
) -> CamEvaluation:
    """Score the seeds of some images under all thresholds at once.

    VOC's published seeds are scored on the 1464 images of ``train``, not on the
    10582 of ``train_aug``, where numbers come out otherwise.

    Args:
        store: The seeds.
        truths: Image id -> true label map.
        thresholds: Of the background, ascending.
        ignore_index: Void.

    Raises:
        ValueError: A seed and its truth differ in size, a label is outside of the
            classes, or there is no image.
        FileNotFoundError: A seed does not exist.
    """
    classes = tuple(store.manifest['classes'])
    if not truths:
        raise ValueError(f'no image of {store.folder} to score: give at least one')
    sweep = BackgroundSweep(len(classes), thresholds)
    for name in track_iter_progress(list(truths)):
        truth = read_label_map(truths[name])
        outside = np.unique(truth[(truth >= len(classes)) & (truth != ignore_index)])
        if len(outside):
            raise ValueError(
                f'{truths[name]} holds the label {outside[0]}, outside the '
                f'{len(classes)} classes of {store.folder}: give the truth of its data '
                'set'
            )
        try:
            sweep.add(*store.read(name), np.where(truth == ignore_index, 255, truth))
        except ValueError as error:
            raise ValueError(
                f'{store.path(name)} and {truths[name]}: {error}'
            ) from error
    return CamEvaluation(np.asarray(thresholds, dtype=float), classes, sweep.iou())
