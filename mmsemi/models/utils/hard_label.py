"""Hard pseudo-labels, and the cross entropy on a part of the pixels."""

import torch.nn.functional as F
from torch import Tensor

from ._common import as_float, check_same_shape


def hard_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Take the most likely class and its probability, without gradient.

    Args:
        logits: Class scores (B, C, H, W).

    Returns:
        Label (B, H, W), long, and probability (B, H, W), float32.
    """
    confidence, label = as_float(logits.detach()).softmax(1).max(1)
    return label, confidence


def masked_cross_entropy(
    logits: Tensor, label: Tensor, keep: Tensor, valid: Tensor | None = None
) -> Tensor:
    r"""Cross entropy summed over some pixels, over the number of valid pixels.

    .. math:: -\frac{1}{|V|} \sum_{i \in K} \log \mathrm{softmax}(x_i)_{y_i}

    With V = K it is the mean over the kept pixels (CPS). With V the pixels of the
    images and K those of them that are labelled with confidence it is FixMatch's and
    UniMatch's: few confident pixels weigh little.

    Args:
        logits: Class scores x (B, C, H, W).
        label: Class indices y (B, H, W); any number where ``keep`` is False.
        keep: Pixels K that count, (B, H, W) bool.
        valid: Pixels V to divide by, (B, H, W) bool. Defaults to ``keep``.

    Returns:
        Scalar; 0 with a gradient of 0 if no pixel is kept.

    Raises:
        ValueError: The shapes do not fit.
    """
    valid = keep if valid is None else valid
    shape = (logits.shape[0], *logits.shape[2:])
    check_same_shape(shape, label=label, keep=keep, valid=valid)
    target = label.long().masked_fill(~keep, -100)
    total = F.cross_entropy(
        as_float(logits), target, ignore_index=-100, reduction='sum'
    )
    return total / valid.sum().clamp_min(1)
