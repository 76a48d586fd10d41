"""What the pure functions share: working precision and seeded draws."""

from collections.abc import Sequence

import torch
from torch import Tensor

DRAW_RANGE = 2**62
"""Draws below it, modulo a count, are uniform to 1 in 10^12 for any image size."""


def as_float(x: Tensor) -> Tensor:
    """Cast to float32; float64 stays, so that gradients can be checked."""
    return x if x.dtype == torch.float64 else x.float()


def full_precision(device: torch.device) -> torch.autocast:
    """Context in which autocast leaves matrix products in the inputs' dtype."""
    return torch.autocast(device.type, enabled=False)


def check_same_shape(expected: Sequence[int], **tensors: Tensor) -> None:
    """Raise a ValueError that names the first tensor of another shape."""
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(expected):
            raise ValueError(
                f'{name} has shape {tuple(tensor.shape)}, '
                f'but {tuple(expected)} is needed'
            )


def draw_below(
    limit: Tensor, shape: Sequence[int], generator: torch.Generator | None
) -> Tensor:
    """Draw integers uniformly from [0, limit), without a host sync.

    The draw is made on the generator's device, so that a CPU generator gives the
    same numbers whatever device the tensors are on.

    Args:
        limit: Exclusive upper bounds (long), broadcastable to ``shape``; a bound
            below 1 gives 0.
        shape: Shape of the result.
        generator: Source of randomness; None is torch's global one.

    Returns:
        Long tensor of ``shape`` on the device of ``limit``.
    """
    device = limit.device if generator is None else generator.device
    draw = torch.randint(DRAW_RANGE, tuple(shape), generator=generator, device=device)
    return draw.to(limit.device) % limit.clamp_min(1)


def draw_uniform(
    shape: Sequence[int], device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draw float32 numbers uniformly from [0, 1) on the generator's device."""
    source = device if generator is None else generator.device
    return torch.rand(tuple(shape), generator=generator, device=source).to(device)
