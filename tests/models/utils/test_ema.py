"""The moving average, and the ways in which it goes wrong elsewhere."""

import copy

import pytest
import torch
from torch import nn

from mmsemi.models.utils.ema import ema_update, warmup_decay


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.PReLU())
    net(torch.randn(2, 3, 5, 5) + seed)
    return net


@pytest.fixture
def pair() -> tuple[nn.Module, nn.Module]:
    teacher, student = network(1), network(2)
    student[1].num_batches_tracked.fill_(7)
    for parameter in student.parameters():
        parameter.data.add_(torch.rand_like(parameter) + 0.1)
    return teacher.requires_grad_(False), student


@pytest.mark.parametrize('decay', [0.0, 0.3, 0.99, 1.0])
@pytest.mark.parametrize('buffers', ['ema', 'copy', 'skip'])
def test_fused_update_equals_the_loop(pair, decay, buffers):
    teacher, student = pair
    expected = copy.deepcopy(teacher)
    source = student.state_dict()
    parameters = {name for name, _ in teacher.named_parameters()}
    for name, value in expected.state_dict().items():
        if name in parameters or (buffers == 'ema' and value.is_floating_point()):
            value.copy_(decay * value + (1 - decay) * source[name].detach())
        elif buffers != 'skip':
            value.copy_(source[name])
    ema_update(teacher, student, decay, buffers)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(teacher.state_dict()[name], value, msg=name)


def test_decay_is_the_teachers_weight():
    """Not the student's, as mmengine's and mmdet's momentum."""
    teacher, student = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    teacher.weight.data.fill_(1.0)
    student.weight.data.fill_(0.0)
    ema_update(teacher, student, 0.9)
    assert teacher.weight.item() == pytest.approx(0.9)


def test_moves_after_the_tensors_were_replaced(pair):
    """As by ``.to(device)``: a list of tensors kept from before would go stale."""
    teacher, student = pair
    ema_update(teacher, student, 0.5)
    for module in (teacher, student):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()
    before = copy.deepcopy(teacher.state_dict())
    ema_update(teacher, student, 0.5)
    after = teacher.state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    # the counter was copied before
    assert set(moved) == set(before) - {'1.num_batches_tracked'}


def test_first_update_copies(pair):
    teacher, student = pair
    ema_update(teacher, student, warmup_decay(0, 0.99))
    for name, value in student.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value), name


@pytest.mark.parametrize('step', [0, 1, 9, 98, 99, 1000])
def test_warmup_decay(step):
    by_hand = {0: 0, 1: 0.5, 9: 0.9, 98: 98 / 99, 99: 0.99, 1000: 0.99}
    assert warmup_decay(step, 0.99) == pytest.approx(by_hand[step])


def test_warmup_is_the_mean_of_all_students():
    teacher, student = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for step, value in enumerate([3.0, 5.0, 1.0, 7.0]):
        student.weight.data.fill_(value)
        ema_update(teacher, student, warmup_decay(step, 0.99))
    assert teacher.weight.item() == pytest.approx(4.0)


def test_no_graph_and_no_shared_memory(pair):
    teacher, student = pair
    ema_update(teacher, student, 0.0)
    assert not any(p.requires_grad or p.grad_fn for p in teacher.parameters())
    student[0].weight.data.add_(1)
    assert not torch.equal(teacher[0].weight, student[0].weight)
