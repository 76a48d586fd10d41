"""What is known of an image as a whole: the classes that it has."""

import torch
from mmseg.utils import SampleList
from torch import Tensor

from ._common import as_float, check_same_shape


def check_tags(tags: Tensor, batch: int, num_classes: int) -> None:
    """Refuse tags that are not (B, C) bool, with a ValueError."""
    check_same_shape((batch, num_classes), tags=tags)
    if tags.dtype != torch.bool:
        raise ValueError(f'tags are {tags.dtype}: give torch.bool, True = in the image')


def stack_tags(data_samples: SampleList, num_classes: int) -> Tensor:
    """Stack the image tags of data samples.

    Args:
        data_samples: B samples with the field ``gt_tags``.
        num_classes: Number of classes C of the network.

    Returns:
        (B, C) bool.

    Raises:
        ValueError: A sample has no tags, or tags of another number of classes.
    """
    for sample in data_samples:
        path = sample.metainfo.get('img_path', 'an image')
        if 'gt_tags' not in sample:
            raise ValueError(
                f'the sample of {path} has no image tags: put LoadImageTags into its '
                'pipeline, and end that with PackSemiInputs'
            )
        number = len(sample.gt_tags.item)
        if number != num_classes:
            raise ValueError(
                f'the image tags of {path} are of {number} classes, but the network '
                f'has {num_classes}: correct classes of LoadImageTags, or num_classes'
            )
    return torch.stack([sample.gt_tags.item for sample in data_samples])


def labels_outside_tags(
    label: Tensor, tags: Tensor, *, ignore_index: int = 255
) -> Tensor:
    """Find the pixels whose label is not among the tags of their image.

    Args:
        label: Class indices (B, H, W).
        tags: Classes of each image (B, C), bool.
        ignore_index: Label of void, which is not outside.

    Returns:
        (B, H, W) bool. A label that is no class is outside, too.
    """
    void = label == ignore_index
    known = (label >= 0) & (label < tags.shape[1])
    index = label.long().masked_fill(~known, 0).flatten(1)
    tagged = tags.gather(1, index).view(label.shape) & known
    return ~(tagged | void)


def restrict_to_tags(scores: Tensor, tags: Tensor) -> Tensor:
    """Give untagged classes a score so low that their probability is 0.

    LPL (Pattern Recognition 2022), prediction with image tags. The score is finite, so
    that the result can be resized. An image without any tag is not restricted.

    Args:
        scores: Class scores (B, C, ...).
        tags: Classes of each image (B, C), bool.

    Returns:
        (B, C, ...), float32, a copy.
    """
    absent = _absent(scores, tags)
    scores = as_float(scores)
    # half of the least number, so that sums of weights rounded up stay finite
    return scores.masked_fill(absent, torch.finfo(scores.dtype).min / 2)


def restrict_probabilities(prob: Tensor, tags: Tensor) -> Tensor:
    """Give untagged classes the probability 0, and let the others sum to 1.

    The most likely class is the most likely one of the tagged classes. An image
    without any tag is not restricted.

    Args:
        prob: Class probabilities (B, C, ...).
        tags: Classes of each image (B, C), bool.

    Returns:
        (B, C, ...), float32, a copy.
    """
    absent = _absent(prob, tags)
    prob = as_float(prob)
    # where all tagged classes have underflowed, they are equally likely
    kept = (prob + torch.finfo(prob.dtype).tiny).masked_fill_(absent, 0)
    return kept.div_(kept.sum(1, keepdim=True))


def _absent(maps: Tensor, tags: Tensor) -> Tensor:
    """Return which classes of maps (B, C, ...) are excluded, (B, C, 1, ...) bool."""
    check_tags(tags, maps.shape[0], maps.shape[1])
    absent = ~tags & tags.any(1, keepdim=True)
    return absent.view(*tags.shape, *[1] * (maps.dim() - 2))
