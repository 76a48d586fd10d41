"""Lengths of a training: in steps, or as a share of the whole."""

import logging
from numbers import Integral, Real

from mmengine.logging import print_log


def steps(length: float, total: float, name: str = 'length') -> int:
    """Return a length in steps.

    One rule for every length of a config (warm-up, ramp-up, interval, begin and end
    of a schedule): a whole number is steps, a number between 0 and 1 is a share of the
    training, so that a shorter training has all of them shorter.

    Args:
        length: Whole number of at least 0, or a float in (0, 1).
        total: Steps of the whole training.
        name: What the length is called in a message.

    Returns:
        The number of steps; of a share, the nearest whole number.

    Raises:
        ValueError: If it is neither.
    """
    check_length(length, name)
    return int(length) if isinstance(length, Integral) else round(length * total)


def check_length(length: float, name: str) -> None:
    """Refuse what is neither a number of steps nor a share.

    Raises:
        ValueError: If it is neither.
    """
    whole = isinstance(length, Integral) and not isinstance(length, bool)
    if whole and length >= 0:
        return
    if not whole and isinstance(length, Real) and 0 < length < 1:
        return
    raise ValueError(
        f'{name}={length!r}: give a whole number of steps of at least 0, or a share of '
        'the training between 0 and 1'
    )


def warmup_steps(
    length: float, total: float, name: str, use: str = 'the unlabelled images are'
) -> int:
    """Return a warm-up in steps, which must leave some for what comes after it.

    Args:
        length: As in :func:`steps`.
        total: Steps of the whole training.
        name: Whose warm-up it is and what it is called, for the message.
        use: What comes after it, for the message.

    Raises:
        ValueError: If it is as long as the training, or longer.
    """
    number = steps(length, total, name)
    if number >= max(total, 1):
        raise ValueError(
            f'{name}={length}: the training has {total} steps only, so it would end '
            f'before {use} used: give a share, e.g. {name.split()[-1]}=0.4, or train '
            'longer (train_cfg.max_iters)'
        )
    return number


def warn_of_rampup(length: float, total: int, name: str) -> None:
    """Say in the log that a ramp-up is longer than the training."""
    if steps(length, total, name) > total:
        print_log(
            f'{name}={length}: the training has {total} steps only, so the weight '
            f'never rises to its value: give a share, e.g. {name.split()[-1]}=0.1, or '
            'train longer (train_cfg.max_iters)',
            logger='current',
            level=logging.WARNING,
        )
