"""How stable the prediction of each image was during a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.models.utils.pseudo_label import reliability_score
from mmsemi.models.utils.tta import tta_probabilities

from .image_batches import load_batches, plan_batches, progress, size_divisor


@torch.no_grad()
def score_images(
    snapshots: Sequence[Mapping[str, nn.Module]],
    dataset: UnlabeledDataset,
    *,
    preprocessor: Any,
    batch_size: int | None = None,
    num_workers: int = 2,
) -> Tensor:
    """Score each image by the agreement of earlier networks with the last.

    ST++ (CVPR 2022): one scale, no flip, label maps at the size of the file, all
    in one pass over the images. Ranks take whole batches in turn.

    Args:
        snapshots: K times the networks by name, earliest first, in eval mode.
        dataset: The images.
        preprocessor: The model's data preprocessor, on the networks' device.
        batch_size: Images in a batch. By default up to 8 on a GPU, 1 on a CPU.
        num_workers: Threads that load images.

    Returns:
        Scores (N,) in [0, 1] in the order of the list, the mean of the networks'
        (:func:`reliability_score`), float64 on the CPU, the same on every rank.
    """
    rank, world_size = get_dist_info()
    mine = plan_batches(dataset, batch_size, preprocessor.device)
    mine = mine[rank::world_size]
    scores = torch.zeros(len(dataset), dtype=torch.double)
    divisor = size_divisor(preprocessor)
    batches = load_batches(dataset, mine, preprocessor, num_workers)
    with progress(sum(map(len, mine))) as advance:
        for indices, images, size in batches:
            found = [
                _score([copies[name] for copies in snapshots], images, size, divisor)
                for name in snapshots[0]
            ]
            scores[indices] = torch.stack(found).mean(0).double().cpu()
            advance(len(indices))
    all_reduce(scores)
    return scores


def _score(
    networks: Sequence[nn.Module], images: Tensor, size: tuple[int, int], divisor: int
) -> Tensor:
    """Return the scores (B,) by one network at K steps."""
    maps = []
    for network in networks:
        prob = tta_probabilities(network, images, size=size, size_divisor=divisor)
        maps.append(prob.argmax(1))
    return reliability_score(torch.stack(maps), num_classes=prob.shape[1])


def split_by_score(
    ids: Sequence[str], scores: Sequence[float]
) -> tuple[list[str], list[str]]:
    """Sort ids by score, descending, ties in their order, and halve the list.

    Returns:
        The floor(N/2) ids of the highest scores, and the others.
    """
    order = sorted(range(len(ids)), key=lambda i: -scores[i])
    ranked = [ids[i] for i in order]
    return ranked[: len(ids) // 2], ranked[len(ids) // 2 :]
