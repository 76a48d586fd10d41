import copy
from collections import deque

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.utils.memory_bank import ClassMemoryBank


def filled_bank(seed=0, pushes=4, sizes=(5, 3, 8, 2)):
    generator = torch.Generator().manual_seed(seed)
    bank = ClassMemoryBank(sizes, 6)
    for _ in range(pushes):
        keys = torch.randn(7, 6, generator=generator)
        bank.push(keys, torch.randint(0, 3, (7,), generator=generator))
    return bank


def assert_same(one, two):
    for c in range(one.size.numel()):
        assert torch.equal(one.rows(c), two.rows(c))
    assert torch.equal(one.count, two.count)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_push_matches_deques(normalize, dtype):
    torch.manual_seed(0)
    sizes = [5, 3, 8, 1]
    bank = ClassMemoryBank(sizes, 4, dtype=dtype, normalize=normalize)
    queues = [deque(maxlen=size) for size in sizes]
    for step in range(60):
        number = int(torch.randint(0, 30 if step % 7 == 0 else 6, ()))
        keys = torch.randn(number, 4)
        classes = torch.randint(0, 3, (number,))
        bank.push(keys, classes)
        for key, c in zip(keys, classes.tolist(), strict=True):
            queues[c].append(F.normalize(key, dim=0) if normalize else key)
        assert bank.count.tolist() == [len(queue) for queue in queues]
        for c, queue in enumerate(queues):
            rows = bank.rows(c)
            assert rows.shape == (len(queue), 4) and rows.dtype == dtype
            if queue:
                torch.testing.assert_close(rows, torch.stack(list(queue)).to(dtype))


def test_push_of_half_keys_normalises_in_float32():
    bank = ClassMemoryBank([2], 3)
    bank.push(torch.full((1, 3), 6e4, dtype=torch.float16), torch.tensor([0]))
    torch.testing.assert_close(
        bank.rows(0).float(), torch.full((1, 3), 3**-0.5), **{'atol': 1e-3, 'rtol': 0}
    )


def test_push_keeps_no_gradient():
    bank = ClassMemoryBank([2], 3)
    bank.push(torch.ones(1, 3, requires_grad=True), torch.tensor([0]))
    assert not bank.data.requires_grad


def test_push_and_sample_touch_the_buffer_in_place():
    bank = filled_bank()
    address = bank.data.data_ptr()
    bank.push(torch.randn(4, 6), torch.tensor([0, 1, 2, 0]))
    bank.sample(torch.tensor([0]), 3)
    assert bank.data.data_ptr() == address


def test_rows_is_a_copy():
    bank = filled_bank()
    before = bank.rows(0)
    bank.rows(0).zero_()
    assert torch.equal(bank.rows(0), before)


def test_sample_is_uniform_over_the_filled_rows():
    bank = ClassMemoryBank([4, 6], 1, dtype=torch.float32, normalize=False)
    bank.push(
        torch.tensor([[1.0], [2], [3], [10], [20]]), torch.tensor([0, 0, 0, 1, 1])
    )
    generator = torch.Generator().manual_seed(0)
    drawn = bank.sample(torch.tensor([1, 0]), 6000, generator)
    assert drawn.shape == (2, 6000, 1)
    for values, expected in zip(drawn, ((10, 20), (1, 2, 3)), strict=True):
        found, number = values.unique(return_counts=True)
        assert found.tolist() == list(expected)
        share = number / 6000
        torch.testing.assert_close(
            share, torch.full_like(share, 1 / len(expected)), atol=0.03, rtol=0
        )


def test_sample_shape_and_generator():
    bank = filled_bank()
    classes = torch.tensor([2, 0, 3])
    draws = [
        bank.sample(classes, (2, 5), torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    ]
    assert draws[0].shape == (3, 2, 5, 6) and draws[0].dtype == torch.float16
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert (draws[0][2] == 0).all()  # class 3 never got a key


@pytest.mark.parametrize('pushes', [0, 1, 6])
def test_state_dict_round_trip(pushes):
    bank = filled_bank(pushes=pushes)
    state = torch.nn.Sequential(bank).state_dict()
    assert state['0.data'].shape == (int(bank.count.sum()), 6)

    other = filled_bank(seed=5)  # what it held must be gone
    loaded = torch.nn.Sequential(other)
    loaded.load_state_dict(state)
    assert_same(bank, other)
    classes = torch.tensor([0, 1, 2, 3])
    for seed in range(3):
        assert torch.equal(
            bank.sample(classes, 9, torch.Generator().manual_seed(seed)),
            other.sample(classes, 9, torch.Generator().manual_seed(seed)),
        )
        keys, labels = torch.randn(9, 6), torch.randint(0, 4, (9,))
        bank.push(keys, labels)
        other.push(keys, labels)
        assert_same(bank, other)


def test_state_dict_through_mmengine():
    from mmengine.runner.checkpoint import get_state_dict, load_state_dict

    bank = filled_bank()
    state = get_state_dict(torch.nn.Sequential(bank))
    assert sorted(state) == ['0.count', '0.data', '0.pointer', '0.size']
    assert len(state['0.data']) == int(bank.count.sum())
    other = ClassMemoryBank([5, 3, 8, 2], 6)
    load_state_dict(torch.nn.Sequential(other), state, strict=True)
    assert_same(bank, other)


@pytest.mark.parametrize(
    ('sizes', 'dim', 'message'),
    [
        ((5, 3, 8, 4), 6, r'sizes \[5, 3, 8, 2\] and dim 6.*sizes \[5, 3, 8, 4\]'),
        ((5, 3, 8), 6, r'the model has sizes \[5, 3, 8\]'),
        ((5, 3, 8, 2), 7, r'and dim 6, the model has .* and dim 7'),
    ],
)
def test_load_into_another_bank_is_an_error(sizes, dim, message):
    state = filled_bank().state_dict()
    with pytest.raises(RuntimeError, match=message):
        ClassMemoryBank(sizes, dim).load_state_dict(state)


def test_load_of_missing_and_cut_entries():
    state = filled_bank().state_dict()
    cut = {**state, 'data': state['data'][:-1]}
    with pytest.raises(RuntimeError, match=r'rows, but counts'):
        ClassMemoryBank((5, 3, 8, 2), 6).load_state_dict(cut)
    del state['count']
    with pytest.raises(RuntimeError, match=r'Missing key.*"count"'):
        ClassMemoryBank((5, 3, 8, 2), 6).load_state_dict(state)


def test_deepcopy_is_independent():
    bank = filled_bank()
    twin = copy.deepcopy(bank)
    assert_same(bank, twin)
    before = bank.rows(0)
    twin.push(torch.randn(9, 6), torch.zeros(9).long())
    assert torch.equal(bank.rows(0), before)


def test_errors():
    bank = ClassMemoryBank([2, 2], 3)
    with pytest.raises(ValueError, match=r'keys have shape \(4, 5\).*\(M, 3\)'):
        bank.push(torch.zeros(4, 5), torch.zeros(4).long())
    with pytest.raises(ValueError, match='4 keys need as many classes'):
        bank.push(torch.zeros(4, 3), torch.zeros(3).long())
    for sizes, dim in (([], 3), ([2, 0], 3), ([2], 0)):
        with pytest.raises(ValueError, match='a size of at least 1 for each class'):
            ClassMemoryBank(sizes, dim)


@pytest.mark.parametrize('bad', [float('inf'), float('-inf'), float('nan')])
def test_keys_that_are_not_finite(bad):
    """They count as 0, and those beside them stay."""
    bank = ClassMemoryBank([4], 3)
    keys = torch.tensor([[3.0, 0, 4], [bad, 3, 4], [bad, bad, bad]])
    bank.push(keys, torch.zeros(3, dtype=torch.long))
    expected = torch.tensor([[0.6, 0, 0.8], [0, 0.6, 0.8], [0, 0, 0]])
    torch.testing.assert_close(bank.rows(0).float(), expected, atol=1e-3, rtol=0)
