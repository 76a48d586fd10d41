"""Spread the seeds of images along the affinities of a network."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsemi.datasets import UnlabeledDataset
from mmsemi.models.utils.affinity import affinity_matrix, random_walk
from mmsemi.models.utils.cam import add_background

from .cam_store import CamStore
from .crf_folder import CrfJob, crf_scores
from .image_batches import load_batches
from .pseudo_label_store import PseudoLabelStore
from .result import LabelingResult
from .seed_setup import seed_images

STRIDE = 8


@torch.no_grad()
def walk_scores(
    network: Any,
    image: Tensor,
    cam: Tensor,
    *,
    background: Mapping[str, float],
    beta: float,
    log_t: int,
) -> Tensor:
    """Let the seeds of an image walk.

    PSA: the image is padded right and below to whole cells of the network's stride,
    the maps are averaged over the cells (what is padded is 0), walk, and are resized
    back (bilinear).

    Args:
        network: AffinityNet, in eval mode.
        image: (1, 3, H, W), normalised.
        cam: Normalised activation maps (K, H, W) of the classes of the image.
        background: ``dict(threshold=…)`` or ``dict(power=…)``, of
            :func:`mmsemi.models.utils.cam.add_background`.
        beta: Exponent of the affinities.
        log_t: Logarithm to base 2 of the number of steps.

    Returns:
        (K + 1, H, W), the background first, float32.

    Raises:
        ValueError: Image and maps differ in size.
    """
    height, width = image.shape[-2:]
    if tuple(cam.shape[-2:]) != (height, width):
        raise ValueError(
            f'the maps are {tuple(cam.shape[-2:])}, but the image ({height}, {width}): '
            'they are those of another image'
        )
    missing = (0, -width % STRIDE, 0, -height % STRIDE)
    scores = add_background(cam.to(image.device), **background)
    scores = F.avg_pool2d(F.pad(scores, missing)[None], STRIDE)
    feature = network(F.pad(image, missing))
    affinity = affinity_matrix(feature, network.radius)
    scores = random_walk(scores, affinity, beta=beta, log_t=log_t)
    size = height + missing[3], width + missing[1]
    scores = F.interpolate(scores, size, mode='bilinear', align_corners=False)
    return scores[0, :, :height, :width]


def walk_seeds(
    network: Any,
    dataset: UnlabeledDataset,
    seeds: CamStore,
    store: PseudoLabelStore,
    *,
    background: Mapping[str, float],
    beta: float,
    log_t: int,
    crf: Mapping[str, Any] | None = None,
    num_workers: int = 2,
) -> LabelingResult:
    """Label every image of a list that the store does not have yet.

    Args:
        network: :class:`mmsemi.models.AffinityNet` in eval mode.
        dataset: The images that the seeds were made of.
        seeds: Their seeds.
        store: Where the labels go.
        background: As :func:`walk_scores`, like ``beta`` and ``log_t``.
        beta: Exponent.
        log_t: Logarithm of the number of steps.
        crf: Of :func:`mmsemi.labeling.crf.crf_label`; None for none.
        num_workers: Threads that load images, and processes of the CRF.

    Raises:
        ValueError: The seeds are those of other images.
        FileNotFoundError: An image or a seed does not exist.
        OSError: A label cannot be written.
    """
    images = seed_images(seeds, dataset)
    places = {name: i for i, name in enumerate(images)}

    def compute(names: Sequence[str]) -> Iterator[CrfJob]:
        batches = [[places[name]] for name in names]
        loaded = load_batches(dataset, batches, network.data_preprocessor, num_workers)
        for name, (_, image, _) in zip(names, loaded, strict=True):
            classes, cam = seeds.read(name)
            try:
                scores = walk_scores(
                    network,
                    image,
                    torch.from_numpy(cam),
                    background=background,
                    beta=beta,
                    log_t=log_t,
                )
            except ValueError as error:
                raise ValueError(f'{seeds.path(name)}: {error}') from error
            yield CrfJob(name, images[name], classes, scores.cpu().numpy())

    return crf_scores(list(images), compute, store, crf=crf, num_workers=num_workers)
