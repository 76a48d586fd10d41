import pytest

from mmsemi.models.utils.lengths import steps


@pytest.mark.parametrize(
    ('length', 'total', 'expected'),
    [(0, 10, 0), (30, 10, 30), (0.4, 1000, 400), (1 / 80, 46240, 578), (0.03, 40, 1)],
)
def test_value(length, total, expected):
    assert steps(length, total) == expected


@pytest.mark.parametrize('length', [-1, 1.0, 0.0, 1.5, True, '40', None, float('nan')])
def test_neither_steps_nor_share(length):
    with pytest.raises(ValueError, match=r'warmup_iters=.* share of the training'):
        steps(length, 100, 'warmup_iters')
