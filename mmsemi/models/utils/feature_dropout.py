"""Perturbation of a backbone's features."""

from typing import Any

import torch
from torch import Tensor

from mmsemi.checks import check_range

from ._common import draw_uniform


def drop_channels(
    feature: Tensor, ratio: float = 0.5, generator: torch.Generator | None = None
) -> Tensor:
    """Set random channels to 0 and scale the others up, each image by itself.

    What ``nn.Dropout2d`` does in training, UniMatch's perturbation of features.

    Args:
        feature: (B, C, …).
        ratio: Probability of a channel to be dropped, in [0, 1).
        generator: Source of randomness.

    Returns:
        ``feature / (1 - ratio)``, and 0 in the dropped channels, (B, C, …).

    Raises:
        ValueError: ``ratio`` is outside [0, 1).
    """
    check_range('[0, 1)', ratio=ratio)
    draw = draw_uniform(feature.shape[:2], feature.device, generator)
    scale = (draw >= ratio).to(feature.dtype) / (1 - ratio)
    return feature * scale.view(*feature.shape[:2], *[1] * (feature.dim() - 2))


def append_perturbed(
    features: Any,
    start: int,
    ratio: float = 0.5,
    generator: torch.Generator | None = None,
) -> Any:
    """Append perturbed copies of the last images to the features of a batch.

    A decoder then sees clean and perturbed features in one forward.

    Args:
        features: Feature (B, C, …), or a list or tuple of them, also nested.
        start: The images from this one on get a perturbed copy.
        ratio: As for :func:`drop_channels`; each level has channels of its own.
        generator: Source of randomness.

    Returns:
        The same with B + (B - start) images.
    """
    if isinstance(features, Tensor):
        return torch.cat([features, drop_channels(features[start:], ratio, generator)])
    return type(features)(
        append_perturbed(part, start, ratio, generator) for part in features
    )
