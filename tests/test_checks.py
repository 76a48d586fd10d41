"""check_range and check_choice: every end of an interval, and the messages."""

import math

import numpy as np
import pytest

from mmsemi.checks import check_choice, check_range


@pytest.mark.parametrize(
    ('interval', 'inside', 'outside'),
    [
        ('[0, 1]', [0, 0.5, 1, True, np.float32(1)], [-0.1, 1.1, math.nan]),
        ('[0, 1)', [0, 0.999], [1, -1e-9, math.nan]),
        ('(0, 1]', [1e-9, 1], [0, 1.001]),
        ('(0, inf)', [1e-9, 10**9], [0, -1, math.inf, math.nan]),
        ('[0, inf]', [0, math.inf], [-1, -math.inf, math.nan]),
        ('(-inf, inf)', [0, -1e30], [math.inf, -math.inf, math.nan]),
        ('[0, 100]', [0, 100], [101, '50', None, [], ()]),
        ('(0, 1)', [(0.2, 0.4), [0.3, 0.3]], [(0, 0.4), (0.4, 0.2), (0.1, 1)]),
    ],
)
def test_range(interval, inside, outside):
    for value in inside:
        check_range(interval, first=0.5, x=value)
    for value in outside:
        with pytest.raises(ValueError, match=r'x=.* must be'):
            check_range(interval, first=0.5, x=value)


@pytest.mark.parametrize(
    ('interval', 'value', 'message'),
    [
        ('[0, 1]', 1.5, 'x=1.5 must be in [0, 1]'),
        ('[1, inf)', 0, 'x=0 must be at least 1'),
        ('(0, inf)', 0, 'x=0 must be above 0'),
        ('[0, inf)', math.inf, 'x=inf must be in [0, inf)'),
        ('[0, inf)', math.nan, 'x=nan must be in [0, inf)'),
        ('[0, 1]', '1', "x='1' must be in [0, 1]"),
        ('(0, 1]', (1, 0.5), 'x=(1, 0.5) must be numbers in (0, 1], the lower ones fi'),
    ],
)
def test_range_message(interval, value, message):
    for owner, start in (((), ''), (('Blur',), 'Blur ')):
        with pytest.raises(ValueError) as error:
            check_range(interval, *owner, x=value)
        assert str(error.value).startswith(start + message)


def test_choice():
    check_choice(mix=(None, ('cutmix', None)), passes=(2, (1, 2)))
    with pytest.raises(ValueError) as error:
        check_choice('Mixer', passes=(1, (1, 2)), mix=('blur', ['cutmix', None]))
    assert str(error.value) == "Mixer mix='blur': choose one of ['cutmix', None]"
