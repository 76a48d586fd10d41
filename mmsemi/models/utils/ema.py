"""Exponential moving average of a network."""

import torch
from torch import Tensor, nn

BUFFERS = ('ema', 'copy', 'skip')


def warmup_decay(step: int, decay: float) -> float:
    """Return the decay of one update, min(1 - 1/(step + 1), decay).

    Args:
        step: Updates done before, from 0: the first copies the student.
        decay: Weight of the teacher that is reached.
    """
    return min(1 - 1 / (step + 1), decay)


@torch.no_grad()
def ema_update(
    teacher: nn.Module, student: nn.Module, decay: float, buffers: str = 'ema'
) -> None:
    """Move the teacher: teacher = decay * teacher + (1 - decay) * student.

    One fused update for all tensors of a kind.

    Args:
        teacher: The network that is averaged, changed in place.
        student: A network of the same structure.
        decay: Weight of the teacher, in [0, 1]; 0 copies.
        buffers: What happens to floating-point buffers (running statistics):
            ``'ema'`` as the parameters, ``'copy'`` from the student,
            ``'skip'``: they are the teacher's own. Buffers of whole numbers
            are copied, or left alone with ``'skip'``.
    """
    _blend(list(teacher.parameters()), list(student.parameters()), decay)
    if buffers == 'skip':
        return
    pairs = list(zip(teacher.buffers(), student.buffers(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    _blend(
        [pair[0] for pair in floating],
        [pair[1] for pair in floating],
        decay if buffers == 'ema' else 0.0,
    )
    for target, source in pairs:
        if not target.is_floating_point():
            target.copy_(source)


def _blend(targets: list[Tensor], sources: list[Tensor], decay: float) -> None:
    if not targets:
        return
    if decay == 0:
        torch._foreach_copy_(targets, sources)
        return
    torch._foreach_mul_(targets, decay)
    torch._foreach_add_(targets, sources, alpha=1 - decay)
