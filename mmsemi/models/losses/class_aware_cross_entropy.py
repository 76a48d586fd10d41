"""Cross entropy over the classes that an image is known to have."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsemi.checks import check_choice, check_range
from mmsemi.models.utils._common import as_float, check_same_shape
from mmsemi.models.utils.tags import check_tags, labels_outside_tags

REDUCTIONS = ('mean', 'sum', 'none')


def class_aware_cross_entropy(
    logits: Tensor,
    label: Tensor,
    tags: Tensor,
    *,
    ignore_index: int = 255,
    eps: float | None = None,
    reduction: str = 'mean',
    class_weight: Tensor | None = None,
) -> Tensor:
    r"""Cross entropy with a softmax over the tagged classes only.

    LPL (Pattern Recognition 2022), class-aware cross entropy: for a pixel of label y
    in an image with the tags T,

    .. math:: -\log \frac{e^{x_y}}{\sum_{k \in T} e^{x_k}}

    so that the scores of untagged classes get no gradient. A label that is not among
    the tags of its image is ignored; :func:`labels_outside_tags` finds them. The
    released code has no maximum subtracted, so that it overflows above 88; this is
    finite, also with ``eps``.

    Args:
        logits: Class scores x (B, C, H, W).
        label: Class indices y (B, H, W).
        tags: Classes T of each image (B, C), bool. An image without any is ignored.
        ignore_index: Label of the pixels that do not count.
        eps: The released code's 1e-5, added to the sum and to the probability:
            -log(e^{x_y} / (sum + eps) + eps). By default the exact formula.
        reduction: ``'mean'`` over the pixels that count, ``'sum'`` or ``'none'``.
        class_weight: Factor (C,) of the pixels labelled with each class. The mean is
            over pixels, not weights, as mmseg's. By default all are 1, as released.

    Returns:
        Scalar, 0 with a gradient of 0 if no pixel counts; for ``'none'`` (B, H, W),
        0 where a pixel does not count. float32.

    Raises:
        ValueError: The shapes do not fit, ``tags`` is not bool, ``class_weight`` is
            not of C classes, ``eps`` is not above 0, or ``reduction`` is unknown.
    """
    batch, num_classes, *size = logits.shape
    check_same_shape((batch, *size), label=label)
    check_tags(tags, batch, num_classes)
    if class_weight is not None:
        check_same_shape((num_classes,), class_weight=class_weight)
    if eps is not None:
        check_range('(0, inf)', eps=eps)
    check_choice(reduction=(reduction, REDUCTIONS))
    outside = labels_outside_tags(label, tags, ignore_index=ignore_index)
    label = label.long().masked_fill(outside, ignore_index)
    # an image without tags is ignored, and must not make the gradient NaN
    seen = tags | ~tags.any(1, keepdim=True)
    scores = as_float(logits).masked_fill(~seen[:, :, None, None], -torch.inf)
    if eps is None:
        log_prob = F.log_softmax(scores, 1)
    else:
        log_eps = scores.new_full((), math.log(eps))
        log_sum = torch.logaddexp(scores.logsumexp(1, keepdim=True), log_eps)
        log_prob = torch.logaddexp(scores - log_sum, log_eps)
    loss = F.nll_loss(
        log_prob,
        label,
        weight=None if class_weight is None else class_weight.to(log_prob),
        ignore_index=ignore_index,
        reduction='none' if reduction == 'none' else 'sum',
    )
    if reduction == 'mean':
        return loss / (label != ignore_index).sum().clamp_min(1)
    return loss
