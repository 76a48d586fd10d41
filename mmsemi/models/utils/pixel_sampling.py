"""Draw pixels and read their features.

Pixels are numbered over the batch: ``b * h * w + y * w + x``.
"""

import torch
from torch import Tensor

from mmsemi.checks import check_range

from ._common import check_same_shape, draw_below, draw_uniform


def sample_anchors(
    label: Tensor,
    mask: Tensor,
    classes: Tensor,
    num_anchors: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw anchor pixels of given classes, uniformly with replacement.

    Args:
        label: Labels (B, h, w).
        mask: Pixels (B, h, w), bool, to draw from.
        classes: Class indices (K,), long.
        num_anchors: Q, paper: 50.
        generator: Source of randomness.

    Returns:
        Pixel numbers (K, Q), long; 0 for a class without a candidate, which the
        caller has to leave out.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape(label.shape, mask=mask)
    key = label.long().masked_fill(~mask, torch.iinfo(torch.int64).max)
    key, pixel = key.flatten().sort(stable=True)
    classes = classes.contiguous()
    start = torch.searchsorted(key, classes)[:, None]
    count = torch.searchsorted(key, classes, right=True)[:, None] - start
    position = start + draw_below(count, (classes.numel(), num_anchors), generator)
    position = position.clamp_max(key.numel() - 1)
    anchors = pixel.index_select(0, position.flatten()).view_as(position)
    return anchors.masked_fill(count == 0, 0)


def select_keys(
    mask: Tensor, max_per_class: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw at most ``max_per_class`` pixels of each class, without replacement.

    The pixels with the smallest random numbers are taken. Only the few below a bound
    that leaves just more than ``max_per_class`` are compared: each class falls short
    with a probability below 1e-10. The size of the result is the one host sync.

    Args:
        mask: Candidates (B, C, h, w), bool, e.g. of :func:`negative_mask`.
        max_per_class: Bound on the pixels of one class.
        generator: Source of randomness.

    Returns:
        Pixel numbers (M,) and their classes (M,), long, ordered by class and pixel.

    Raises:
        ValueError: ``max_per_class`` is below 1.
    """
    check_range('[1, inf)', max_per_class=max_per_class)
    candidates = mask.transpose(0, 1).flatten(1)
    num_pixels = candidates.shape[1]
    draw = draw_uniform(candidates.shape, mask.device, generator)
    enough = max_per_class + 8 * max_per_class**0.5 + 16
    bound = enough / candidates.sum(1, keepdim=True)
    candidates = candidates & (draw < bound)
    count = candidates.sum(1)
    kept = count.clamp_max(max_per_class)
    num_candidates, num_kept = torch.stack((count.sum(), kept.sum())).tolist()

    # the i-th True of a known number, where nonzero() would sync once more
    nth = torch.arange(num_candidates, device=mask.device)
    found = torch.searchsorted(candidates.flatten().cumsum(0), nth + 1)
    classes = found // num_pixels
    order = draw.flatten().index_select(0, found).argsort(stable=True)
    by_class = classes.index_select(0, order).argsort(stable=True)
    order = order.index_select(0, by_class)
    place = nth - (count.cumsum(0) - count).index_select(0, classes)
    dropped = torch.empty_like(nth).scatter_(0, order, place) >= max_per_class
    found = found.index_select(0, dropped.int().argsort(stable=True)[:num_kept])
    return found % num_pixels, found // num_pixels


def gather_pixels(feature: Tensor, index: Tensor) -> Tensor:
    r"""Read the feature vectors of numbered pixels.

    Neither a permuted copy of the feature is made, nor is its backward pass
    irreproducible on several threads as that of ``x[index]``.

    Args:
        feature: Features (B, D, h, w).
        index: Pixel numbers of any shape, long.

    Returns:
        Features (\*index.shape, D), in the feature's dtype.
    """
    dim, num_pixels = feature.shape[1], feature.shape[2:].numel()
    if feature.is_contiguous(memory_format=torch.channels_last):
        rows = feature.permute(0, 2, 3, 1).reshape(-1, dim)
        return rows.index_select(0, index.flatten()).view(*index.shape, dim)
    flat = index.flatten()
    offset = (flat // num_pixels) * (dim * num_pixels) + flat % num_pixels
    # channel by channel: sorted pixels of one channel lie close together
    channel = torch.arange(dim, device=index.device)[:, None] * num_pixels
    values = feature.flatten().index_select(0, (channel + offset).flatten())
    return values.view(dim, -1).t().reshape(*index.shape, dim)
