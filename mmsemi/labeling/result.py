"""What was labelled, and how well where there is a truth: counted over all ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.annotations.label_maps import read_label_map

from .image_batches import image_ids
from .pseudo_label_store import PseudoLabelStore

VOID = 255


@dataclass(frozen=True)
class LabelingResult:
    """What was labelled, over all ranks.

    Attributes:
        pixels: Number of labelled pixels of each class, by its name.
        void: Number of pixels below the threshold.
        miou: Mean IoU with the truth in percent, over the pixels that both label
            and the classes that one of them has; None without a truth.
        written: Number of images that were labelled now.
        skipped: Number of images whose label was there.
    """

    pixels: dict[str, int]
    void: int
    miou: float | None
    written: int
    skipped: int

    def __str__(self) -> str:
        labelled = sum(self.pixels.values())
        shares = ', '.join(
            f'{name} {100 * count / max(labelled, 1):.1f} %'
            for name, count in self.pixels.items()
        )
        void = 100 * self.void / max(labelled + self.void, 1)
        truth = '' if self.miou is None else f'; mIoU with the truth {self.miou:.2f}'
        return (
            f'{self.written} images labelled, {self.skipped} were there; {void:.1f} % '
            f'of the pixels void, of the others {shares}{truth}'
        )


def truth_files(
    dataset: UnlabeledDataset, ids: Sequence[str], truth_dir: str
) -> list[Path]:
    """Return the true masks of images.

    Raises:
        FileNotFoundError: One does not exist.
    """
    suffix = dataset.seg_map_suffix
    files = [Path(truth_dir, f'{name}{suffix}') for name in ids]
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise FileNotFoundError(
            f'the true mask {absent[0]} does not exist ({len(absent)} of {len(ids)} '
            'are missing): correct truth_dir or seg_map_suffix, or leave truth_dir out'
        )
    return files


class Tally:
    """Counts of labelled pixels, and their confusion with a truth."""

    def __init__(
        self,
        dataset: UnlabeledDataset,
        ids: Sequence[str],
        classes: Sequence[str],
        truth_dir: str | None,
    ) -> None:
        self._classes = list(classes)
        self._shift = int(dataset.reduce_zero_label)
        self._truths = truth_files(dataset, ids, truth_dir) if truth_dir else []
        self._pixels = np.zeros(256, dtype=np.int64)
        self._confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        self._images = {True: 0, False: 0}

    def add(self, index: int, label: np.ndarray, *, written: bool) -> None:
        """Count the label map (H, W) of an image."""
        self._images[written] += 1
        self._pixels += np.bincount(label.ravel(), minlength=256)
        if not self._truths:
            return
        number = len(self._classes)
        truth = self._read_truth(self._truths[index], label.shape)
        both = (truth >= 0) & (label < number)
        slots = truth[both] * number + label[both]
        counts = np.bincount(slots, minlength=number * number)
        self._confusion += counts.reshape(number, number)

    def _read_truth(self, path: Path, shape: tuple[int, ...]) -> np.ndarray:
        """Return the true classes (H, W), -1 for void."""
        truth = read_label_map(path).astype(np.int64)
        if truth.shape != shape:
            raise ValueError(
                f'the true mask {path} is {truth.shape}, but its image {shape} (height '
                'and width): give the masks of these images'
            )
        truth = np.where(truth == VOID, -1, truth - self._shift)
        top = truth.max()
        if top >= len(self._classes):
            raise ValueError(
                f'the true mask {path} holds the label {top + self._shift}, outside '
                f'the {len(self._classes)} classes: convert the masks'
            )
        return truth

    def reduce(self) -> LabelingResult:
        """Sum over the ranks."""
        number = len(self._classes)
        counts = np.concatenate(
            [self._pixels, list(self._images.values()), self._confusion.ravel()]
        )
        total = torch.from_numpy(counts)
        all_reduce(total)
        counts = total.numpy()
        confusion = counts[258:].reshape(number, number)
        return LabelingResult(
            pixels=dict(zip(self._classes, counts[:number].tolist(), strict=True)),
            void=int(counts[VOID]),
            miou=_mean_iou(confusion) if self._truths else None,
            written=int(counts[256]),
            skipped=int(counts[257]),
        )


def _mean_iou(confusion: np.ndarray) -> float:
    """Return the mean over the classes that are there, in percent."""
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    there = union > 0
    return float(100 * (hit[there] / union[there]).mean()) if there.any() else 0.0


def miou_with_truth(
    store: PseudoLabelStore, dataset: UnlabeledDataset, truth_dir: str
) -> float | None:
    """Compute the mean IoU of labels with true masks, in percent, for a report.

    All ranks must call it; they share the images.

    Args:
        store: The labels, all there.
        dataset: Their images.
        truth_dir: Folder of the masks.

    Raises:
        FileNotFoundError: A mask is not there.
    """
    ids = image_ids(dataset)
    tally = Tally(dataset, ids, store.manifest['classes'], truth_dir)
    rank, world_size = get_dist_info()
    for i in range(rank, len(ids), world_size):
        label = store.read(ids[i])
        if label is not None:
            tally.add(i, label, written=False)
    return tally.reduce().miou
