"""Self-correction: one label from two networks' scores."""

import math

import torch
from torch import Tensor, nn

from mmsemi.checks import check_range

from ._common import as_float, check_same_shape


def linear_self_correction(
    primary_logits: Tensor, ancillary_logits: Tensor, alpha: float
) -> Tensor:
    r"""Combine two networks linearly, Eq. 4 of self-correcting networks (CVPR 2020).

    .. math:: q = \mathrm{softmax}\left(\frac{l + \alpha a}{1 + \alpha}\right)
              \propto (p \, p_{anc}^\alpha)^{1 / (1 + \alpha)}

    is, at each pixel, the distribution that minimises Eq. 3,
    :math:`KL(q \| p) + \alpha KL(q \| p_{anc})`. A weight of 0 is 0 exactly: alpha = 0
    gives the primary's distribution and infinity the ancillary's.

    Args:
        primary_logits: Class scores l (B, C, H, W).
        ancillary_logits: Class scores a (B, C, H, W).
        alpha: Weight of the ancillary model, in [0, inf].

    Returns:
        Probabilities q (B, C, H, W), float32.

    Raises:
        ValueError: ``alpha`` is below 0 or not a number, or the shapes differ.
    """
    if not alpha >= 0:
        raise ValueError(
            f'alpha is {alpha}: choose it from [0, inf], 0 for the primary model alone '
            'and inf for the ancillary model alone'
        )
    check_same_shape(primary_logits.shape, ancillary_logits=ancillary_logits)
    primary, ancillary = as_float(primary_logits), as_float(ancillary_logits)
    if alpha == 0:
        return primary.softmax(1)
    if math.isinf(alpha):
        return ancillary.softmax(1)
    weight = 1 / (1 + alpha)
    return (weight * primary + (1 - weight) * ancillary).softmax(1)


def exponential_alpha(i: int, n: int, start: float = 30.0, end: float = 0.5) -> float:
    """Weight of the ancillary model at a step, falling (or rising) exponentially.

    Self-correcting networks (CVPR 2020): ``start * (end / start) ** (i / n)``, moved
    at each step; the paper does not say whether it moves in stairs.

    Args:
        i: Steps done, in [0, n].
        n: Steps of the training.
        start: alpha before the first step, above 0.
        end: alpha after the last step, above 0.

    Returns:
        alpha.

    Raises:
        ValueError: A number is outside its range.
    """
    if not 0 <= i <= n or n < 1:
        raise ValueError(f'step {i} of {n}: give 0 <= i <= n, and n of at least 1')
    if not 0 < min(start, end) <= max(start, end) < math.inf:
        raise ValueError(f'alpha goes from {start} to {end}: give finite ones above 0')
    return float(start * (end / start) ** (i / n))


class ConvSelfCorrection(nn.Module):
    """Learn how to combine two networks' scores (Eq. 6).

    Self-correcting networks (CVPR 2020), q_conv: a 3x3 convolution of the scores of
    both, a ReLU, and a 3x3 convolution to one score per class. The paper's text has
    a second ReLU before the softmax, its figure none; it would cut off all negative
    scores, and with them their gradients.

    Args:
        num_classes: Scores C per pixel of each network (the paper's C + 1).
        hidden: Channels between the convolutions. Defaults to 128.
        final_relu: Add the second ReLU. Defaults to False.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(
        self, num_classes: int, hidden: int = 128, final_relu: bool = False
    ) -> None:
        super().__init__()
        check_range('[1, inf)', num_classes=num_classes, hidden=hidden)
        self.num_classes = num_classes
        layers = [
            nn.Conv2d(2 * num_classes, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, num_classes, 3, padding=1),
        ]
        self.layers = nn.Sequential(*layers, *[nn.ReLU()] * final_relu)

    def forward(self, primary_logits: Tensor, ancillary_logits: Tensor) -> Tensor:
        """Correct the primary's scores by the ancillary's.

        Args:
            primary_logits: (B, C, H, W).
            ancillary_logits: (B, C, H, W).

        Returns:
            Class scores (B, C, H, W), whose softmax is q_conv.

        Raises:
            ValueError: The shapes differ, or the number of classes is another.
        """
        shape = (len(primary_logits), self.num_classes, *primary_logits.shape[2:])
        check_same_shape(
            shape, primary_logits=primary_logits, ancillary_logits=ancillary_logits
        )
        return self.layers(torch.cat([primary_logits, ancillary_logits], 1))
