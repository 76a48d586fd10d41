"""Weights of losses that mmseg's heads have named."""

from torch import Tensor


def weigh_losses(losses: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Multiply those entries that mmengine adds up: their names contain 'loss'.

    Args:
        losses: Losses and diagnostics.
        weight: The factor.

    Returns:
        The same names; diagnostics as they were.
    """
    return {
        name: value * weight if 'loss' in name else value
        for name, value in losses.items()
    }
