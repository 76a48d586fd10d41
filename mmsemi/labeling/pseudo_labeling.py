"""Label images with one or several networks: the one function that all use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier, get_dist_info
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.annotations.label_maps import read_label_map

from .ensemble import VOID, Ensemble
from .image_batches import (
    image_ids,
    load_batches,
    plan_batches,
    progress,
    size_divisor,
)
from .pseudo_label_store import PseudoLabelStore


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


def generate_pseudo_labels(
    networks: Sequence[nn.Module],
    dataset: UnlabeledDataset,
    store: PseudoLabelStore,
    *,
    preprocessor: Any,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    weights: Sequence[float] | None = None,
    noise: float = 0.0,
    threshold: float | None = None,
    batch_size: int | None = None,
    num_workers: int = 2,
    truth_dir: str | None = None,
    amp: bool = False,
    fuse: str = 'softmax',
    tags: Tensor | None = None,
) -> LabelingResult:
    """Label every image of a list that the store does not have yet.

    Each network predicts in the views of ST++'s test-time augmentation; the
    networks' probabilities are averaged (BST's weighted fusion) at the size of the
    file, and the most likely class is the label. Ranks take whole batches in turn,
    and the batches are those of the whole list: neither the number of ranks nor a
    resume changes a label.

    Args:
        networks: See :class:`Ensemble`, as scales, flip, weights, noise, threshold,
            amp and fuse.
        dataset: The images.
        store: Where the labels go.
        preprocessor: The model's data preprocessor, on the networks' device.
        scales: Factors of height and width.
        flip: Also predict the mirrored image.
        weights: Weight of each network.
        noise: Bound of the pixel noise on the weight of the first of two networks.
        threshold: Least probability of a pixel that is not void.
        batch_size: Images in a batch. By default up to 8 on a GPU, 1 on a CPU.
        num_workers: Threads that load images.
        truth_dir: Folder of the true label maps, named as mmseg would, to report
            their mIoU with the pseudo-labels. Without it, no mask is opened.
        amp: Half precision.
        fuse: What is averaged over the views.
        tags: Classes that each image of the list may get (N, C), bool; all by default.

    Raises:
        ValueError: A value is outside its range or does not fit, or a file is damaged.
        TypeError: The data set may open masks.
        FileNotFoundError: An image or a mask does not exist.
        OSError: A label cannot be written.
    """
    how = (scales, flip, weights, noise, threshold, amp)
    ensemble = Ensemble(networks, *how, size_divisor(preprocessor), fuse)
    ids = _checked_ids(dataset, tags)
    tally = _Tally(dataset, ids, store.manifest['classes'], truth_dir)
    rank, world_size = get_dist_info()
    mine = plan_batches(dataset, batch_size, preprocessor.device)
    mine = mine[rank::world_size]
    with progress(sum(map(len, mine))) as advance, store:
        missing = set()
        for i in (i for batch in mine for i in batch):
            label = store.read(ids[i])
            if label is None:
                missing.add(i)
            else:
                tally.add(i, label, written=False)
                advance(1)
        todo = [batch for batch in mine if not missing.isdisjoint(batch)]
        for indices, images, size in load_batches(
            dataset, todo, preprocessor, num_workers
        ):
            names = [ids[i] for i in indices]
            own = None if tags is None else tags[indices]
            labels, probs = ensemble.label(images, size, names, own)
            found = labels.cpu().numpy()
            kept = probs.half().cpu().numpy() if store.soft else [None] * len(names)
            for i, label, prob in zip(indices, found, kept, strict=True):
                if i in missing:
                    store.write(ids[i], label, prob)
                    tally.add(i, label, written=True)
                    advance(1)
    result = tally.reduce()
    store.finish(
        pixels=result.pixels, void=result.void, miou=result.miou, number=len(ids)
    )
    barrier()
    return result


def _checked_ids(dataset: UnlabeledDataset, tags: Tensor | None) -> list[str]:
    if not isinstance(dataset, UnlabeledDataset):
        raise TypeError(
            f'the images to label come as {type(dataset).__name__}: take '
            'UnlabeledDataset, which opens no mask'
        )
    if tags is not None and len(tags) != len(dataset):
        raise ValueError(f'{len(tags)} rows of tags for {len(dataset)} images')
    return image_ids(dataset)


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


class _Tally:
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
