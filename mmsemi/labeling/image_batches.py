"""Batches of whole images of equal size, the same whatever is left to do."""

import os
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_rank
from mmengine.utils import ProgressBar
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.file_checks import check_image_file, picture_size

MOST_IMAGES, MOST_PIXELS = 8, 2**21
"""Of a batch on a GPU, before scales."""


class ImageBatch(NamedTuple):
    """Images that go through the network together."""

    indices: list[int]
    images: Tensor
    size: tuple[int, int]


def image_ids(dataset: UnlabeledDataset) -> list[str]:
    """Name each image as a list does: its path below the prefix, without suffix.

    Raises:
        ValueError: An image is there twice or outside of the folder, or the images of
            a folder differ in their suffix (mmseg could not find their labels).
    """
    root = dataset.data_prefix.get('img_path') or dataset.data_root or ''
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    paths = [os.path.relpath(info['img_path'], root or None) for info in infos]
    suffix = dataset.img_suffix
    if not isinstance(suffix, str):
        found = sorted({os.path.splitext(path)[1] for path in paths})
        if len(found) > 1:
            raise ValueError(
                f'the images of {root} end with {", ".join(found)}, but mmseg finds '
                'labels by one img_suffix: convert the images, or give img_suffix'
            )
        suffix = found[0]
    ids = [path[: len(path) - len(suffix)].replace(os.sep, '/') for path in paths]
    seen: set[str] = set()
    for name in ids:
        if name.startswith('../'):
            # its label would lie outside of the labels' folder
            raise ValueError(
                f'{dataset.ann_file} names the image {name!r}, outside of {root}: give '
                'a data_prefix that holds all images'
            )
        if name in seen:
            raise ValueError(
                f'{dataset.ann_file or root} names the image {name!r} twice: remove '
                'one of the lines'
            )
        seen.add(name)
    return ids


def plan_batches(
    dataset: UnlabeledDataset,
    batch_size: int | None = None,
    device: torch.device | str = 'cpu',
) -> list[list[int]]:
    """Group the images of equal size, in the order of the list.

    The whole list is grouped, whatever is labelled already: what a network
    computes for an image may depend, in the last bits, on its batch.

    Args:
        dataset: N images on the local disk; only their headers are read.
        batch_size: Largest number of images in a batch. None: on a GPU up to 8, as
            many as have 2 million pixels together (scales multiply them); 1 on a CPU,
            whose cache a larger batch leaves.
        device: Where the network computes.

    Returns:
        The indices 0 … N - 1, each in one batch; batches are ordered by their first.

    Raises:
        FileNotFoundError: An image does not exist.
        ValueError: An image is truncated, or no picture; or ``batch_size`` is below 1.
    """
    on_cpu = torch.device(device).type == 'cpu'
    if batch_size is not None and batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: give at least 1')
    begun: dict[Hashable, list[int]] = {}
    batches: list[list[int]] = []
    for i in range(len(dataset)):
        key = _size_key(dataset.get_data_info(i)['img_path'])
        if key not in begun:
            begun[key] = []
            batches.append(begun[key])
        begun[key].append(i)
        most = batch_size or (1 if on_cpu else _fitting(key))
        if len(begun[key]) == most:
            del begun[key]
    return batches


def _fitting(size: Hashable) -> int:
    """Return how many images of a size a GPU takes at once, of unknown ones 1."""
    if isinstance(size, str):
        return 1
    height, width = cast(tuple[int, int], size)
    return max(1, min(MOST_IMAGES, MOST_PIXELS // (width * height)))


def _size_key(path: str) -> Hashable:
    """Return what images must share to be of one size when they are loaded."""
    check_image_file(path, 'image to label')
    return path if '://' in path else picture_size(path)


def load_batches(
    dataset: UnlabeledDataset,
    batches: Sequence[list[int]],
    preprocessor: nn.Module,
    num_workers: int,
) -> Iterator[ImageBatch]:
    """Load and normalise batches, one after the other.

    Args:
        dataset: Its pipeline loads, may resize, and ends with ``PackSegInputs``.
        batches: Indices of images that are of one size.
        preprocessor: The model's ``SegDataPreProcessor`` (or the one of a method).
        num_workers: Threads that load ahead; 0 loads in this one. No processes: images
            would come back through a pipe, which takes longer than a small network.

    Yields:
        The indices, the images (B, 3, H, W) on the preprocessor's device, without
        padding, and the height and width that their files have.

    Raises:
        ValueError: The pipeline does not end with ``PackSegInputs``.
    """
    loaded = _load(dataset, batches, num_workers)
    for indices, images in zip(batches, loaded, strict=True):
        batch = pseudo_collate(images)
        if 'inputs' not in batch or isinstance(batch['inputs'], dict):
            raise ValueError(
                'the pipeline of the images to label must end with PackSegInputs or '
                f'PackSemiInputs, but it gives {sorted(batch)}'
            )
        height, width = batch['inputs'][0].shape[-2:]
        size = batch['data_samples'][0].metainfo['ori_shape']
        inputs = preprocessor(batch, False)['inputs']
        # each view of an image is padded by itself
        yield ImageBatch(indices, inputs[..., :height, :width], tuple(size[:2]))


def _load(
    dataset: UnlabeledDataset, batches: Sequence[list[int]], num_workers: int
) -> Iterator[list[dict]]:
    """Yield the images of each batch, in order; some batches are loaded ahead."""
    if not num_workers:
        yield from ([dataset[i] for i in indices] for indices in batches)
        return
    pool = ThreadPoolExecutor(num_workers)
    ahead: deque[list[Future]] = deque()
    try:
        for indices in batches:
            ahead.append([pool.submit(dataset.__getitem__, i) for i in indices])
            if len(ahead) > 2 * num_workers:
                yield [image.result() for image in ahead.popleft()]
        while ahead:
            yield [image.result() for image in ahead.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress(number: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on rank 0; yield a function that moves it by some images."""
    if get_rank() or not number:
        yield lambda done: None
        return
    bar = ProgressBar(number, file=sys.stdout)
    try:
        yield bar.update
    finally:
        print(flush=True)


def size_divisor(preprocessor: Any) -> int:
    """Return the number that a preprocessor's test sizes are a multiple of."""
    inner = getattr(preprocessor, 'data_preprocessor', preprocessor)
    test_cfg = getattr(inner, 'test_cfg', None) or {}
    return test_cfg.get('size_divisor') or 1
