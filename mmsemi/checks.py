"""Checks of arguments, one line each where they are used."""

import math
from collections.abc import Collection
from numbers import Real
from typing import Any


def check_range(interval: str, owner: str = '', /, **numbers: Any) -> None:
    """Refuse arguments, given by name, that are outside of an interval.

    An argument is a number, or several in order: a low and a high one.

    Args:
        interval: As mathematicians write it, ``'[0, 1)'`` or ``'(0, inf)'``.
        owner: Whose arguments they are, for the message where that is in doubt.
        **numbers: The arguments. NaN is in no interval.

    Raises:
        ValueError: One is outside, not in order, or no number.
    """
    low, high = map(float, interval[1:-1].split(','))

    def above(value: Any) -> bool:
        return low < value or (low == value and interval[0] == '[')

    def inside(value: Any) -> bool:
        below = value < high or (value == high and interval[-1] == ']')
        return above(value) and below

    for name, value in numbers.items():
        several = isinstance(value, (tuple, list))
        each = value if several else [value]
        real = bool(each) and all(isinstance(x, Real) for x in each)
        if real and all(map(inside, each)) and list(each) == sorted(each):
            continue
        limit = f'in {interval}'
        if several:
            limit = f'numbers in {interval}, the lower ones first'
        elif real and high == math.inf and not above(value) and value == value:
            limit = f'{"at least" if interval[0] == "[" else "above"} {low:g}'
        raise ValueError(f'{owner} {name}={value!r} must be {limit}'.lstrip())


def check_choice(owner: str = '', /, **choices: tuple[Any, Collection]) -> None:
    """Refuse arguments, given as ``name=(value, allowed)``, that are not allowed.

    Args:
        owner: As in :func:`check_range`.
        **choices: The arguments.

    Raises:
        ValueError: One is not.
    """
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            text = f'{owner} {name}={value!r}: choose one of {allowed}'
            raise ValueError(text.lstrip())
