"""Label images with one or several networks: the one function that all use."""

from collections.abc import Sequence
from typing import Any

from mmengine.dist import barrier, get_dist_info
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset

from .ensemble import Ensemble
from .image_batches import (
    image_ids,
    load_batches,
    plan_batches,
    progress,
    size_divisor,
)
from .pseudo_label_store import PseudoLabelStore
from .result import LabelingResult, Tally


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
    tally = Tally(dataset, ids, store.manifest['classes'], truth_dir)
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
