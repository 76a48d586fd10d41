"""Activation maps of a list of images: the seeds of weak supervision."""

from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_dist_info
from torch import Tensor

from mmsemi.datasets import UnlabeledDataset
from mmsemi.models.utils.cam import normalize_cam

from .cam_store import CamStore
from .image_batches import image_ids, load_batches, plan_batches, progress


@torch.no_grad()
def make_cams(
    model: Any,
    dataset: UnlabeledDataset,
    store: CamStore,
    tags: Tensor,
    *,
    normalize: str = 'seam',
    num_workers: int = 2,
    **views: Any,
) -> tuple[int, int]:
    """Store the activation maps of every image that the store does not have yet.

    Only those of the image's own classes are computed to the end and kept. Ranks take
    images in turn; neither their number nor a resume changes a map.

    Args:
        model: :class:`mmsemi.models.AVC` in eval mode.
        dataset: N images.
        store: Where the maps go.
        tags: Classes of the images (N, C + 1), bool, the background first.
        normalize: Of :func:`mmsemi.models.utils.cam.normalize_cam`.
        num_workers: Threads that load images.
        **views: ``scales``, ``squares``, ``flip`` and ``refine`` of
            :meth:`mmsemi.models.AVC.cams`.

    Raises:
        ValueError: The tags do not fit, or a value is outside its range.
        OSError: A seed cannot be written.

    Returns:
        How many images were computed now, and how many were there, over all ranks.
    """
    if tags.shape != (len(dataset), model.num_classes):
        raise ValueError(
            f'{tuple(tags.shape)} tags for {len(dataset)} images and '
            f'{model.num_classes} classes (the background included): give the tags of '
            "these images, of the classifier's classes"
        )
    ids = image_ids(dataset)
    rank, world_size = get_dist_info()
    # one at a time: images differ in size, and the views are a batch's work
    mine = plan_batches(dataset, batch_size=1)[rank::world_size]
    todo = [batch for batch in mine if not store.has(ids[batch[0]])]
    with progress(len(mine)) as advance:
        if len(mine) > len(todo):
            advance(len(mine) - len(todo))
        for (i,), image, size in load_batches(
            dataset, todo, model.data_preprocessor, num_workers
        ):
            classes = tags[i, 1:].nonzero()[:, 0]
            maps = model.cams(image, size, **views)[0][classes.to(image.device)]
            if len(classes):
                maps = normalize_cam(maps, normalize)
            store.write(ids[i], (classes + 1).numpy(), maps.cpu().numpy())
            advance(1)
    counts = torch.tensor([len(todo), len(mine) - len(todo)])
    all_reduce(counts)
    store.finish(number=len(ids))
    barrier()
    return int(counts[0]), int(counts[1])
