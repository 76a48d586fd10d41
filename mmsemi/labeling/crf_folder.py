"""Labels of a folder of images from seeds and a dense CRF, in several processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dist import all_reduce, barrier, get_dist_info

from mmsemi.checks import check_range
from mmsemi.datasets.atomic import PathLike
from mmsemi.models.losses.affinity_loss import sure_label
from mmsemi.models.utils.cam import add_background
from mmsemi.models.utils.dense_crf import dense_crf

from .cam_store import CamStore, read_seed
from .crf import crf_label
from .image_batches import progress
from .processes import in_processes
from .pseudo_label_store import PseudoLabelStore
from .result import LabelingResult


class CrfJob(NamedTuple):
    """Scores of an image that wait for their CRF.

    Attributes:
        name: The image's id.
        image: Its file.
        classes: Classes 1…C of the maps after the first (K,).
        scores: (K + 1, H, W) in [0, 1], the background first.
    """

    name: str
    image: PathLike
    classes: np.ndarray
    scores: np.ndarray


GIVEN = {'image', 'classes', 'scores', 'prob', 'crf'}
"""Arguments of a CRF that are no settings."""


def check_crf(
    crf: Mapping[str, Any] | None, backgrounds: Sequence[Mapping[str, float]] = ()
) -> None:
    """Refuse wrong settings before the work, on an image of four pixels.

    Args:
        crf: Arguments of :func:`crf_label`, or None.
        backgrounds: Arguments of :func:`~mmsemi.models.utils.cam.add_background`.

    Raises:
        ValueError: There is an unknown one, or one outside its range.
        ImportError: The backend is not installed.
    """
    scores = np.full((2, 2, 2), 0.5, np.float32)
    try:
        for background in backgrounds:
            add_background(torch.zeros(1, 2, 2), **background)
        if crf is not None:
            crf_label(np.zeros((2, 2, 3), np.uint8), [1], scores, **crf)
    except TypeError as error:
        known = [key for f in (crf_label, dense_crf) for key in signature(f).parameters]
        raise ValueError(
            f'crf={crf}, backgrounds={list(backgrounds)}: {error}; a background has '
            f'threshold or power, a CRF some of {sorted({*known} - GIVEN)}'
        ) from error


def crf_seeds(
    seeds: CamStore,
    images: Mapping[str, PathLike],
    out: PseudoLabelStore,
    *,
    backgrounds: Sequence[Mapping[str, float]],
    crf: Mapping[str, Any] | None,
    num_workers: int = 2,
) -> LabelingResult:
    """Label every image of which the store has no label yet, from its seed.

    Args:
        seeds: Finished seeds.
        images: Image id -> file.
        out: Where the labels go.
        backgrounds: One ``dict(threshold=…)`` or ``dict(power=…)`` of
            :func:`~mmsemi.models.utils.cam.add_background`; or two, a strong and a
            weak one, whose labels are merged by
            :func:`~mmsemi.models.losses.affinity_loss.sure_label`, void where
            neither is sure. AffinityNet learns from these.
        crf: Arguments of :func:`crf_label`. None leaves the CRF out.
        num_workers: As :func:`~mmsemi.labeling.processes.in_processes`; several ranks
            have so many each.

    Raises:
        ValueError: An argument is outside its range, or a file is damaged.
        FileNotFoundError: A seed or an image does not exist.
        RuntimeError: A process was killed.
        OSError: A label cannot be written.
    """
    if len(backgrounds) not in (1, 2):
        raise ValueError(
            f'{len(backgrounds)} backgrounds: give one, or a strong and a weak one'
        )
    check_crf(crf, backgrounds)
    number = len(seeds.manifest['classes'])
    settings = [dict(b) for b in backgrounds], None if crf is None else dict(crf)
    task = partial(_label_seed, number, *settings)

    def jobs(names: Sequence[str]) -> Iterator[tuple]:
        return ((name, images[name], seeds.path(name)) for name in names)

    return _label_all(task, list(images), jobs, out, num_workers)


def crf_scores(
    names: Sequence[str],
    compute: Callable[[Sequence[str]], Iterable[CrfJob]],
    out: PseudoLabelStore,
    *,
    crf: Mapping[str, Any] | None,
    num_workers: int = 2,
) -> LabelingResult:
    """Label images from scores that this process computes while others run the CRF.

    Args:
        names: Ids of all images.
        compute: Called with the ids that this rank must label; yields their scores,
            in this order, e.g. after a random walk on a GPU.
        out: See :func:`crf_seeds`, as ``crf`` and ``num_workers``.
        crf: Arguments of :func:`crf_label`, or None.
        num_workers: Processes.

    Raises:
        ValueError: As :func:`crf_seeds`, which also raises the other errors.
    """
    check_crf(crf)
    task = partial(_label_scores, None if crf is None else dict(crf))
    return _label_all(task, names, compute, out, num_workers)


def _label_all(
    task: Callable[[Any], np.ndarray],
    names: Sequence[str],
    jobs: Callable[[Sequence[str]], Iterable[Any]],
    out: PseudoLabelStore,
    num_workers: int,
) -> LabelingResult:
    """Write what is missing, and count the pixels of what is there after."""
    check_range('[0, inf)', num_workers=num_workers)
    rank, world_size = get_dist_info()
    mine = list(names)[rank::world_size]
    counts = np.zeros(258, dtype=np.int64)
    with progress(len(mine)) as advance, out:
        missing = []
        for name in mine:
            label = out.read(name)
            if label is None:
                missing.append(name)
                continue
            counts[:256] += np.bincount(label.ravel(), minlength=256)
            counts[257] += 1
            advance(1)
        labels = in_processes(task, jobs(missing), min(num_workers, len(missing)))
        for name, label in zip(missing, labels, strict=True):
            out.write(name, label, None)
            counts[:256] += np.bincount(label.ravel(), minlength=256)
            counts[256] += 1
            advance(1)
    total = torch.from_numpy(counts)
    all_reduce(total)
    classes = out.manifest['classes']
    found = dict(zip(classes, counts[: len(classes)].tolist(), strict=True))
    result = LabelingResult(
        found, int(counts[255]), None, int(counts[256]), int(counts[257])
    )
    out.finish(pixels=result.pixels, void=result.void, number=len(names))
    barrier()
    return result


def _label_seed(
    number: int,
    backgrounds: list[dict],
    crf: dict | None,
    job: tuple[str, PathLike, PathLike],
) -> np.ndarray:
    """Label one image from its seed file."""
    name, image, seed = job
    classes, cam = read_seed(seed, number)
    maps = torch.from_numpy(cam)
    labels = []
    for background in backgrounds:
        scores = add_background(maps, **background).numpy()
        labels.append(_label_scores(crf, CrfJob(name, image, classes, scores)))
    if len(labels) == 1:
        return labels[0]
    return sure_label(*map(torch.from_numpy, labels)).numpy().astype(np.uint8)


def _label_scores(crf: dict | None, job: CrfJob) -> np.ndarray:
    """Label one image from its scores."""
    if crf is None:
        names = np.array([0, *job.classes], dtype=np.uint8)
        return names[job.scores.argmax(0)]
    try:
        rgb = mmcv.imread(str(job.image), channel_order='rgb')
    except cv2.error as error:
        message = f'the image {job.image} cannot be decoded: copy it again'
        raise ValueError(message) from error
    try:
        return crf_label(rgb, job.classes, job.scores, **crf)
    except ValueError as error:
        raise ValueError(f'the seed of {job.name} and {job.image}: {error}') from error
