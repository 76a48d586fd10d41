"""Online hard example mining over the whole batch."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmsemi.checks import check_range
from mmsemi.models.utils._common import as_float, check_same_shape
from mmsemi.registry import MODELS


def ohem_cross_entropy(
    logits: Tensor,
    label: Tensor,
    *,
    threshold: float = 0.7,
    min_kept: int = 100000,
    ignore_index: int = 255,
) -> Tensor:
    """Cross entropy of the pixels whose label is predicted with low probability.

    OHEM (CVPR 2016) for segmentation, as U2PL (CVPR 2022) uses it on Cityscapes. A
    pixel is kept if the probability of its label is at most ``threshold``, or at most
    that of the ``min_kept``-th hardest pixel of the batch. If fewer than ``min_kept``
    pixels are valid, or ``min_kept`` is 0, all are kept.

    Args:
        logits: Class scores (B, C, H, W).
        label: Class indices (B, H, W).
        threshold: Probability up to which a pixel is hard, in [0, 1].
        min_kept: Pixels to keep at least, counted over the batch.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar, mean over the kept pixels; 0 with a gradient of 0 if none is valid.

    Raises:
        ValueError: A parameter is out of its range, or the shapes do not fit.
    """
    _check_parameters(threshold, min_kept)
    check_same_shape((logits.shape[0], *logits.shape[2:]), label=label)
    loss = F.cross_entropy(
        as_float(logits), label.long(), ignore_index=ignore_index, reduction='none'
    )
    keep = label != ignore_index
    if 0 < min_kept <= label.numel():
        enough = keep.sum() >= min_kept
        prob = (-loss.detach()).exp().masked_fill(~keep, 1).flatten()
        hardest = prob.topk(min_kept, largest=False, sorted=False).values
        bound = hardest.amax().clamp_min(threshold)
        keep = keep & ((prob.view_as(loss) <= bound) | ~enough)
    return loss.masked_fill(~keep, 0).sum() / keep.sum().clamp_min(1)


def _check_parameters(threshold: float, min_kept: int) -> None:
    check_range('[0, 1]', threshold=threshold)
    check_range('[0, inf)', min_kept=min_kept)


@MODELS.register_module()
class BatchOhemCrossEntropy(nn.Module):
    """:func:`ohem_cross_entropy` as the ``loss_decode`` of a decode head.

    mmseg's own OHEM (its pixel sampler, and its ``OhemCrossEntropy``) has another
    count of kept pixels: the sampler's is for each image.

    Args:
        threshold: Probability up to which a pixel is hard.
        min_kept: Pixels to keep at least, counted over the batch of a GPU.
        loss_weight: Factor of the loss.
        loss_name: Key of the loss in the log.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept: int = 100000,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ohem',
    ) -> None:
        super().__init__()
        _check_parameters(threshold, min_kept)
        self.threshold = threshold
        self.min_kept = min_kept
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> Tensor:
        """Compute the loss as mmseg's decode heads call it.

        Args:
            cls_score: Class scores (B, C, H, W).
            label: Class indices (B, H, W).
            weight: Must be None: this loss selects its pixels itself.
            avg_factor: Must be None, likewise.
            reduction_override: Must be None, likewise.
            ignore_index: Label of pixels that do not count.
            **kwargs: Not read.

        Returns:
            Scalar.

        Raises:
            ValueError: A pixel weight, an average factor or a reduction is given.
        """
        given = (weight, avg_factor, reduction_override)
        if any(value is not None for value in given):
            raise ValueError(
                'BatchOhemCrossEntropy selects and averages its pixels itself: remove '
                "the decode head's sampler, or use mmseg's CrossEntropyLoss with it"
            )
        return self.loss_weight * ohem_cross_entropy(
            cls_score,
            label,
            threshold=self.threshold,
            min_kept=self.min_kept,
            ignore_index=ignore_index,
        )
