"""Cross entropy with soft targets."""

import torch.nn.functional as F
from torch import Tensor

from mmsemi.models.utils._common import as_float, check_same_shape


def soft_cross_entropy(
    logits: Tensor, target_prob: Tensor, valid: Tensor | None = None
) -> Tensor:
    r"""Cross entropy against class distributions, mean over the valid pixels.

    .. math:: -\frac{1}{|V|} \sum_{i \in V} \sum_c t_{ic} \log \mathrm{softmax}(x_i)_c

    Args:
        logits: Class scores x (B, C, H, W).
        target_prob: Target probabilities t (B, C, H, W).
        valid: Pixels V (B, H, W), bool, that count; None counts all.

    Returns:
        Scalar; 0 with a gradient of 0 if no pixel is valid.

    Raises:
        ValueError: The shapes do not fit.
    """
    check_same_shape(logits.shape, target_prob=target_prob)
    logits, target_prob = as_float(logits), as_float(target_prob)
    loss = -(target_prob * F.log_softmax(logits, 1)).sum(1)
    if valid is None:
        return loss.mean()
    check_same_shape(loss.shape, valid=valid)
    return loss.masked_fill(~valid, 0).sum() / valid.sum().clamp_min(1)
