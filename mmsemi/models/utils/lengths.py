"""Lengths of a training: in steps, or as a share of the whole."""

from numbers import Integral, Real


def steps(length: float, total: int, name: str = 'length') -> int:
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
