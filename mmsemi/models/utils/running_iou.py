"""How good a network is at each class at present, and what its labels are worth."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmsemi.checks import check_range

from ._common import as_float, check_same_shape
from .tags import check_tags


class RunningClassIoU(nn.Module):
    r"""IoU of each class over the last batches of all ranks.

    LPL (Pattern Recognition 2022), dynamic evaluation: with n_t the pixels of a batch,

    .. math:: T \leftarrow d T + n_t(y = c), \quad
        Q \leftarrow d Q + n_t(\hat y = c), \quad
        P \leftarrow d P + n_t(y = \hat y = c), \quad
        \mathrm{IoU}_c = \frac{P}{T + Q - P}

    T begins at 1, Q and P at 0, so that each IoU begins at 0. The sums are buffers:
    they are in checkpoints, and the same on every rank.

    Args:
        num_classes: Number of classes C.
        decay: d, weight of the past, in [0, 1). Defaults to 0.99.
        ignore_index: Label of void. Defaults to 255.
        count_void: As released: predictions on void and padding count in Q, as if
            they were wrong. Defaults to False.

    Raises:
        ValueError: ``num_classes`` is below 1, or ``decay`` is not in [0, 1).
    """

    true: Tensor
    predicted: Tensor
    hit: Tensor

    def __init__(
        self,
        num_classes: int,
        decay: float = 0.99,
        ignore_index: int = 255,
        *,
        count_void: bool = False,
    ) -> None:
        super().__init__()
        check_range('[1, inf)', num_classes=num_classes)
        check_range('[0, 1)', decay=decay)
        self.num_classes = num_classes
        self.decay = decay
        self.ignore_index = ignore_index
        self.count_void = count_void
        self.register_buffer('true', torch.ones(num_classes))
        self.register_buffer('predicted', torch.zeros(num_classes))
        self.register_buffer('hit', torch.zeros(num_classes))

    @property
    def iou(self) -> Tensor:
        """IoU of each class (C,), float32; 0 for a class never seen."""
        union = self.true + self.predicted - self.hit
        # T = 1 of a class never seen fades to nothing
        return self.hit / union.clamp_min(torch.finfo(union.dtype).tiny)

    @torch.no_grad()
    def update(self, pred: Tensor, label: Tensor) -> None:
        """Add a batch; every rank must call it.

        Args:
            pred: Predicted classes (B, H, W).
            label: True classes (B, H, W); ``ignore_index`` is not counted.

        Raises:
            ValueError: The shapes differ.
        """
        check_same_shape(label.shape, pred=pred)
        void = label == self.ignore_index
        counted = torch.zeros_like(void) if self.count_void else void
        counts = torch.stack(
            [
                self._count(label, void),
                self._count(pred, counted),
                self._count(label, void | (pred != label)),
            ]
        )
        # whole numbers: their sum does not depend on the number of ranks
        all_reduce(counts)
        for total, count in zip(
            (self.true, self.predicted, self.hit), counts, strict=True
        ):
            total.mul_(self.decay).add_(count)

    def _count(self, classes: Tensor, left_out: Tensor) -> Tensor:
        """Count the pixels of each class: of (B, H, W) make (C,), long."""
        left_out = left_out | (classes < 0) | (classes >= self.num_classes)
        slot = classes.long().masked_fill(left_out, self.num_classes).flatten(1)
        count = slot.new_zeros(len(slot), self.num_classes + 1)
        return count.scatter_add_(1, slot, torch.ones_like(slot))[:, :-1].sum(0)


def image_reliability(
    iou: Tensor, tags: Tensor, power: float = 8, zero_as_one: bool = False
) -> Tensor:
    r"""Weigh images by the class of theirs that is predicted worst.

    LPL (Pattern Recognition 2022), progressive cross training:
    :math:`\omega = (\min_{c \in T} \mathrm{IoU}_c)^8`.

    Args:
        iou: IoU of each class (C,), in [0, 1].
        tags: Classes T of each image (B, C), bool, with the background.
        power: The exponent.
        zero_as_one: As released: classes whose IoU is exactly 0 are left out of the
            minimum, and an image all of whose classes are is given the weight 1.

    Returns:
        Weights (B,) in [0, 1], float32; 0 for an image without tags, or 1 with
        ``zero_as_one``.

    Raises:
        ValueError: The shapes do not fit, ``tags`` is not bool, or ``power`` is below
            0.
    """
    check_tags(tags, tags.shape[0], iou.shape[0])
    check_range('[0, inf)', power=power)
    iou = as_float(iou)
    if zero_as_one:
        return torch.where(tags & (iou > 0), iou, 1).amin(1).pow(power)
    weight = torch.where(tags, iou, 1).amin(1).pow(power)
    return weight.masked_fill(~tags.any(1), 0)
