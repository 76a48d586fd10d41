import pytest

from mmsemi.models.utils.lengths import steps, warmup_steps


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


@pytest.mark.parametrize(('length', 'total'), [(0, 40), (39, 40), (0.4, 40), (0, 0)])
def test_warm_up_that_leaves_steps(length, total):
    assert warmup_steps(length, total, 'U2PL warmup_iters') == steps(length, total)


@pytest.mark.parametrize(('length', 'total'), [(400, 40), (40, 40), (0.99, 40)])
def test_warm_up_that_leaves_none(length, total):
    with pytest.raises(ValueError) as error:
        warmup_steps(length, total, 'U2PL warmup_iters')
    assert str(error.value) == (
        f'U2PL warmup_iters={length}: the training has 40 steps only, so it would end '
        'before the unlabelled images are used: give a share, e.g. warmup_iters=0.4, '
        'or train longer (train_cfg.max_iters)'
    )
