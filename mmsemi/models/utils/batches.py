"""What the methods do with a batch before they compute on it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor


def stack_labels(data_samples: SampleList) -> Tensor:
    """Stack the labels of a branch.

    Returns:
        (N, H, W) long.
    """
    return torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples])


def stack_valid(data_samples: SampleList) -> Tensor:
    """Stack the maps of real (not padded) pixels of a branch.

    Returns:
        (N, H, W) bool.

    Raises:
        ValueError: If a sample has no such map.
    """
    if not all('valid' in sample for sample in data_samples):
        raise ValueError(
            'an unlabelled sample does not say which pixels are padding: end its '
            'branch with PackSemiInputs, not with PackSegInputs'
        )
    return torch.stack([sample.valid.data.squeeze(0) for sample in data_samples])


def join_images(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """Concatenate images (N, 3, H, W), or scores of them, of both kinds.

    Raises:
        ValueError: If their sizes differ.
    """
    if labeled.shape[1:] != unlabeled.shape[1:]:
        raise ValueError(
            f'labelled images are {tuple(labeled.shape[2:])} and unlabelled ones '
            f'{tuple(unlabeled.shape[2:])} after padding, but the method takes them '
            'together: give both pipelines the same crop_size'
        )
    return torch.cat([labeled, unlabeled])


def resize_nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (N, H, W), bool or of numbers below 2**24, to their nearest pixel."""
    resized = F.interpolate(maps[:, None].float(), list(size), mode='nearest-exact')
    return resized[:, 0].to(maps.dtype)
