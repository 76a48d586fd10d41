import os
import tempfile

import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModel
from torch import multiprocessing, nn

from mmsemi.engine import CPUAmpOptimWrapper, SemiDistributedDataParallel
from mmsemi.engine.runner.cpu_wrappers import average_running_statistics

DATA = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


class Normed(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer('mine', torch.zeros(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=(self.norm(inputs) - 1).square().mean())


def step(model, data):
    wrapper = CPUAmpOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    return model.train_step(dict(inputs=data), wrapper)


def rank_step(rank: int, rendezvous: str, results) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2
    )
    model = Normed()
    model.mine += rank
    wrapped = SemiDistributedDataParallel(model)
    step(wrapped, DATA[rank::2])
    results[rank] = {k: v.clone() for k, v in model.state_dict().items()}
    dist.destroy_process_group()


def test_two_ranks_agree_and_average_the_running_statistics():
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.start_processes(
            rank_step,
            args=(os.path.join(folder, 'rendezvous'), results),
            nprocs=2,
            start_method='fork',
        )
        first, second = results[0], results[1]
    for key in first.keys() - {'mine'}:
        assert torch.equal(first[key], second[key])
    # other buffers are each rank's own: nothing is broadcast
    assert first['mine'].item() == 0 and second['mine'].item() == 1
    # momentum 0.1: 0.9 * start + 0.1 * mean over the ranks of their statistics
    halves = [DATA[0::2], DATA[1::2]]
    mean = sum(half.mean(0) for half in halves) / 2
    var = sum(half.var(0) for half in halves) / 2
    torch.testing.assert_close(first['norm.running_mean'], 0.1 * mean)
    torch.testing.assert_close(first['norm.running_var'], 0.9 + 0.1 * var)


def test_nothing_to_average():
    average_running_statistics(nn.Sequential(nn.Linear(2, 2), nn.GroupNorm(1, 2)))


def test_forward_is_bfloat16_and_weights_are_float32():
    class Linear(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, inputs, mode='loss'):
            output = self.layer(inputs)
            assert output.dtype == torch.bfloat16
            return dict(loss=output.float().square().mean())

    model = Linear()
    before = {k: v.clone() for k, v in model.named_parameters()}
    rounded = nn.Linear(3, 1)
    rounded.load_state_dict(model.layer.state_dict())
    output = rounded.bfloat16()(DATA.bfloat16()).float()
    logs = step(model, DATA)
    torch.testing.assert_close(logs['loss'], output.square().mean())
    for key, value in model.named_parameters():
        assert value.dtype == torch.float32
        assert not torch.equal(value, before[key])
    with pytest.raises(TypeError, match='loss_scale'):
        CPUAmpOptimWrapper(torch.optim.SGD(model.parameters(), 0.1), loss_scale=1)
