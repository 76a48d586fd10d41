"""Pseudo-labels: how reliable they are, and losses that account for it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsemi.checks import check_range

from ._common import as_float, check_same_shape


def entropy(prob: Tensor, dim: int = 1) -> Tensor:
    r"""Entropy of class distributions, :math:`-\sum_c p_c \log p_c` in nats.

    ``0 log 0`` is exactly 0, and the gradient at 0 is finite.

    Args:
        prob: Probabilities with the classes along ``dim``, e.g. (B, C, H, W).
        dim: Class dimension; it is reduced.

    Returns:
        Entropy in [0, log C], e.g. (B, H, W), float32.
    """
    prob = as_float(prob)
    # the bound is not seen in the value; it keeps the logarithm's gradient finite
    bounded = prob.clamp_min(torch.finfo(prob.dtype).tiny)
    return -torch.special.xlogy(prob, bounded).sum(dim)


def drop_unreliable(
    label: Tensor, entropy: Tensor, percent: float, *, ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Ignore the pseudo-labels whose entropy is not below a percentile.

    U2PL (CVPR 2022), the partition by gamma_t. The percentile is taken over the
    valid pixels of the batch, interpolated linearly as by ``numpy.percentile``. The
    comparison is strict: 100 drops only the pixels of largest entropy, and a
    constant entropy map keeps none.

    Args:
        label: Pseudo-labels (B, H, W), ``ignore_index`` where there is none.
        entropy: Entropy of the prediction (B, H, W).
        percent: Share of the valid pixels to keep, in [0, 100].
        ignore_index: Label of pixels that are not valid.

    Returns:
        The labels (B, H, W) with the dropped pixels set to ``ignore_index``, and the
        threshold, a scalar tensor (0 if no pixel is valid).

    Raises:
        ValueError: ``percent`` is outside [0, 100], or the shapes differ.
    """
    check_range('[0, 100]', percent=percent)
    check_same_shape(label.shape, entropy=entropy)
    entropy = as_float(entropy.detach())
    valid = label != ignore_index
    ordered = entropy.masked_fill(~valid, torch.inf).flatten().sort().values

    # the valid entropies come first; their number stays on the device
    last = (valid.sum() - 1).clamp_min(0)
    position = last.double() * (percent / 100)
    lower = position.long()
    bounds = ordered.index_select(
        0, torch.stack((lower, torch.minimum(lower + 1, last)))
    )
    fraction = (position - lower).to(ordered.dtype)
    threshold = torch.lerp(bounds[0], bounds[1], fraction)
    threshold = torch.where(valid.any(), threshold, torch.zeros_like(threshold))
    return label.masked_fill(~(entropy < threshold), ignore_index), threshold


def reweighted_cross_entropy(
    logits: Tensor, label: Tensor, *, ignore_index: int = 255
) -> Tensor:
    """Cross entropy of the kept pixels, times the inverse of their share.

    U2PL (CVPR 2022), L_u with its weight lambda_u: the mean over the kept pixels,
    weighted by (B * H * W) / kept, so that fewer reliable pixels count more each.

    Args:
        logits: Class scores (B, C, H, W).
        label: Class indices (B, H, W).
        ignore_index: Label of the pixels that do not count.

    Returns:
        Scalar; 0 with a gradient of 0 if no pixel is kept.

    Raises:
        ValueError: The shapes do not fit.
    """
    check_same_shape((logits.shape[0], *logits.shape[2:]), label=label)
    total = F.cross_entropy(
        as_float(logits), label.long(), ignore_index=ignore_index, reduction='sum'
    )
    kept = (label != ignore_index).sum().clamp_min(1).to(total.dtype)
    return total / kept * (label.numel() / kept)


def reliability_score(predictions: Tensor, num_classes: int) -> Tensor:
    """Agreement of earlier checkpoints' label maps with the last one's.

    ST++ (CVPR 2022): per image, the mean over the K - 1 earlier maps of their
    mIoU with the last map. A class in neither map is left out of that mIoU. Pixels at
    which the last map holds no class are left out.

    Args:
        predictions: Label maps (K, B, H, W), earliest checkpoint first.
        num_classes: Number of classes C.

    Returns:
        Scores (B,) in [0, 1], float32.

    Raises:
        ValueError: The maps are not (K, B, H, W), or K is below 2.
    """
    if predictions.dim() != 4 or predictions.shape[0] < 2:
        raise ValueError(
            'predictions must be (K, B, H, W) with K >= 2 checkpoints, '
            f'not {tuple(predictions.shape)}'
        )
    maps = predictions.flatten(2).long()
    earlier, last = maps[:-1], maps[-1:].expand_as(maps[:-1])
    known = (last >= 0) & (last < num_classes)

    def histogram(values: Tensor, counted: Tensor) -> Tensor:
        counted = counted & (values >= 0) & (values < num_classes)
        slot = values.masked_fill(~counted, num_classes)
        count = slot.new_zeros(*slot.shape[:2], num_classes + 1)
        return count.scatter_add_(2, slot, torch.ones_like(slot))[..., :-1]

    intersection = histogram(earlier, known & (earlier == last))
    union = histogram(earlier, known) + histogram(last, known) - intersection
    iou = intersection / union.clamp_min(1)
    present = (union > 0).sum(-1).clamp_min(1)
    return (iou.sum(-1) / present).mean(0)


def weighted_fusion(
    prob1: Tensor, prob2: Tensor, weight: float = 0.5, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Fuse the predictions of two networks into one pseudo-label.

    BST's weighted fusion, in our reading: a pixel-wise mean
    ``alpha * prob1 + (1 - alpha) * prob2`` with ``alpha = clip(weight + noise, 0, 1)``
    shared by the classes, then the most likely class (the lowest on ties).

    Args:
        prob1: Probabilities (B, C, H, W) of the first network.
        prob2: Probabilities (B, C, H, W) of the second network.
        weight: Weight of the first network, in [0, 1].
        noise: Pixel noise (B, 1, H, W) on the weight.

    Returns:
        Label (B, H, W), long, and its fused probability (B, H, W), float32.

    Raises:
        ValueError: ``weight`` is outside [0, 1], or the shapes do not fit.
    """
    check_range('[0, 1]', weight=weight)
    check_same_shape(prob1.shape, prob2=prob2)
    prob1, prob2 = as_float(prob1), as_float(prob2)
    alpha: Tensor | float = weight
    if noise is not None:
        check_same_shape((prob1.shape[0], 1, *prob1.shape[2:]), noise=noise)
        alpha = (weight + as_float(noise)).clamp(0, 1)
    confidence, label = (alpha * prob1 + (1 - alpha) * prob2).max(1)
    return label, confidence
