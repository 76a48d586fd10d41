"""The class scores in what a decode head returns, whatever else it returns."""

from typing import Any

from torch import Tensor, nn

# Heads whose output of training is not (scores that predict, others, …).
MAIN_OUTPUT = {
    # each of K-Net's stages refines the one before
    'IterativeDecodeHead': -1,
    # PIDNet: proportional, integral, derivative
    'PIDHead': 1,
}


def main_scores(head: Any, output: Any) -> Tensor:
    """Return the scores that a head predicts with.

    Some of mmseg's heads return more in training, e.g. ``DAHead`` the scores of its
    two attentions and ``EncHead`` those of the classes in the image.

    Args:
        head: The decode head.
        output: What its ``forward()`` returned.

    Returns:
        (B, C, h, w).

    Raises:
        TypeError: If there are no such scores.
    """
    found = output
    if isinstance(output, (list, tuple)) and output:
        names = [kind.__name__ for kind in type(head).__mro__]
        found = output[next((i for n, i in MAIN_OUTPUT.items() if n in names), 0)]
    if not isinstance(found, Tensor) or found.dim() != 4:
        shape = f' of shape {tuple(found.shape)}' if isinstance(found, Tensor) else ''
        raise TypeError(
            f'{type(head).__name__} gave a {type(found).__name__}{shape}, but the '
            'methods learn from class scores (B, C, h, w) of every pixel: use another '
            'decode head'
        )
    return found


def list_heads(decode_head: Any) -> list[Any]:
    """Return the heads of a cascade, or their configs, or the one head, as a list."""
    cascade = isinstance(decode_head, (nn.ModuleList, list, tuple))
    return list(decode_head) if cascade else [decode_head]
