"""Pixel contrast: which pixels are anchors and keys, and the loss over them.

Equation numbers are those of U2PL (CVPR 2022).
"""

import torch
from torch import Tensor

from mmsemi.checks import check_range

from ._common import as_float, check_same_shape, full_precision
from .pixel_sampling import gather_pixels, sample_anchors, select_keys

__all__ = [
    'anchor_mask',
    'class_prototypes',
    'gather_pixels',
    'info_nce',
    'negative_mask',
    'sample_anchors',
    'select_keys',
]

IGNORE_INDEX = 255


def negative_mask(
    prob: Tensor,
    label: Tensor,
    unreliable: Tensor,
    num_labeled: int,
    *,
    low_rank: int,
    high_rank: int,
) -> Tensor:
    """Pixels that are negative keys of each class (eq. 13 to 16).

    Rank 0 is the pixel's most likely class, the lower index first on ties. A labelled
    pixel is a key of class c if c is not its label but ranks below ``low_rank``
    (likely, yet wrong); an unreliable unlabelled pixel if c's rank is in
    [low_rank, high_rank) (unlikely, but not absurd).

    Args:
        prob: Class probabilities (B, C, h, w).
        label: Labels (B, h, w); of unlabelled images the pseudo-labels before the
            unreliable ones are dropped. Pixels of label 255 are no keys.
        unreliable: Unreliable pixels (B, h, w), bool; not read for labelled images.
        num_labeled: The first ``num_labeled`` images are labelled.
        low_rank: r_l, paper: 3.
        high_rank: r_h, paper: 20; a value above C is C.

    Returns:
        Mask (B, C, h, w), bool.

    Raises:
        ValueError: A rank or ``num_labeled`` is out of range, or the shapes differ.
    """
    batch, num_classes, *size = prob.shape
    if not 0 <= low_rank < num_classes:
        raise ValueError(
            f'low_rank {low_rank} must be below the number of classes '
            f'{num_classes}: use low_rank=1'
        )
    if high_rank <= low_rank:
        raise ValueError(f'high_rank {high_rank} must be above low_rank {low_rank}')
    if not 0 <= num_labeled <= batch:
        raise ValueError(f'num_labeled {num_labeled} is not in [0, {batch}], the batch')
    check_same_shape((batch, *size), label=label, unreliable=unreliable)

    rank = torch.arange(num_classes, device=prob.device)
    labeled = torch.arange(batch, device=prob.device)[:, None] < num_labeled
    wanted = (rank < high_rank) & (rank >= low_rank)
    wanted = torch.where(labeled, rank < low_rank, wanted)[:, None, None]
    # sorting along the last, contiguous dimension is the faster by half
    prob = as_float(prob.detach()).permute(0, 2, 3, 1).contiguous()
    order = prob.argsort(dim=-1, descending=True, stable=True)
    in_range = torch.empty_like(order, dtype=torch.bool)
    in_range.scatter_(-1, order, wanted.expand_as(order))

    is_label = label[:, None] == rank[:, None, None]
    labeled = labeled[:, :, None, None]
    counted = (labeled | unreliable[:, None]) & (label != IGNORE_INDEX)[:, None]
    return in_range.permute(0, 3, 1, 2) & counted & ~(labeled & is_label)


def anchor_mask(
    prob: Tensor,
    label: Tensor,
    reliable: Tensor,
    *,
    threshold: float = 0.3,
    ignore_index: int = 255,
) -> Tensor:
    """Pixels that are anchors of their own label.

    Args:
        prob: Class probabilities (B, C, h, w).
        label: Labels or pseudo-labels (B, h, w).
        reliable: Pixels (B, h, w), bool, whose label may be used.
        threshold: delta_p, the probability of the label must be above it.
        ignore_index: Label of pixels without a class.

    Returns:
        Mask (B, h, w), bool.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape((prob.shape[0], *prob.shape[2:]), label=label, reliable=reliable)
    valid = label != ignore_index
    index = label.long().masked_fill(~valid, 0)[:, None]
    own = as_float(prob.detach().gather(1, index).squeeze(1))
    return (own > threshold) & valid & reliable


def class_prototypes(
    representation: Tensor, label: Tensor, mask: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Sum the representations of each class over masked pixels.

    Sums and counts, not means: several ranks add both before they divide.

    Args:
        representation: Features (B, D, h, w).
        label: Labels (B, h, w).
        mask: Pixels (B, h, w), bool, that count.
        num_classes: Number of classes C; other labels do not count.

    Returns:
        Sums (C, D) and pixel counts (C,), float32.

    Raises:
        ValueError: The shapes differ.
    """
    size = (representation.shape[0], *representation.shape[2:])
    check_same_shape(size, label=label, mask=mask)
    feature = as_float(representation).flatten(2)
    classes = torch.arange(num_classes, device=label.device)[:, None]
    member = (label.flatten(1)[:, None] == classes) & mask.flatten(1)[:, None]
    member = member.to(feature.dtype)
    with full_precision(feature.device):
        sums = torch.bmm(member, feature.transpose(1, 2)).sum(0)
    return sums, member.sum((0, 2))


def info_nce(
    anchors: Tensor,
    positive: Tensor,
    negatives: Tensor,
    temperature: float,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Contrast anchors with one positive and many negatives (eq. 4).

    .. math:: -\frac{1}{KQ} \sum_{k,q} \log \frac{e^{\langle a_{kq}, p_k\rangle/\tau}}
        {e^{\langle a_{kq}, p_k\rangle/\tau} + \sum_n e^{\langle a_{kq}, n\rangle/\tau}}

    with the cosine as product; that of a zero vector is 0.

    Args:
        anchors: Anchors (K, Q, D) of K classes.
        positive: Positives (K, D), one for a class.
        negatives: Negatives (K, Q, N, D), of any norm and float dtype.
        temperature: tau, paper: 0.5.
        mask: Classes (K,), bool, that count; None counts all.

    Returns:
        Scalar, mean over the classes that count; 0 with a gradient of 0 if none does.

    Raises:
        ValueError: The temperature is not positive, or the shapes do not fit.
    """
    check_range('(0, inf)', temperature=temperature)
    num_classes, num_anchors, dim = anchors.shape
    check_same_shape((num_classes, dim), positive=positive)
    needed = (num_classes, num_anchors, negatives.shape[-2], dim)
    check_same_shape(needed, negatives=negatives)
    if mask is None:
        mask = torch.ones(num_classes, dtype=torch.bool, device=anchors.device)
    check_same_shape((num_classes,), mask=mask)

    anchors = as_float(anchors)
    negatives = negatives.to(anchors.dtype)
    # the mean of an absent class may be nan, and nan * 0 is nan in the gradient
    positive = positive.to(anchors.dtype).masked_fill(~mask[:, None], 0)
    anchors = anchors / _norm(anchors)
    attraction = (anchors * (positive / _norm(positive))[:, None]).sum(-1, True)
    with full_precision(anchors.device):
        repulsion = (anchors[:, :, None] @ negatives.transpose(-1, -2)).squeeze(2)
    # dividing the products spares a normalised copy of the negatives
    repulsion = repulsion / _norm(negatives).squeeze(-1)
    logits = torch.cat((attraction, repulsion), -1) / temperature
    loss = (logits.logsumexp(-1) - logits[..., 0]).mean(1)
    return loss.masked_fill(~mask, 0).sum() / mask.sum().clamp_min(1)


def _norm(vectors: Tensor) -> Tensor:
    """Euclidean norm along the last dimension, 1 for a zero vector."""
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return norm.masked_fill(norm == 0, 1)
