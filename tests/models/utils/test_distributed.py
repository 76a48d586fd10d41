"""Ragged gathers, with two processes."""

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from mmsemi.models.utils.distributed import all_gather_rows


def test_one_process_gets_its_own():
    rows, classes = torch.randn(3, 2), torch.tensor([0, 2, 1])
    gathered = all_gather_rows(rows, classes)
    assert gathered[0] is rows and gathered[1] is classes


def work(rank: int, folder: Path, lengths: list[int]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    rows = 100 * rank + torch.arange(2.0 * lengths[rank]).view(-1, 2)
    classes = 200 * rank + torch.arange(lengths[rank])
    torch.save(all_gather_rows(rows, classes), folder / f'{rank}.pt')
    dist.destroy_process_group()


@pytest.mark.parametrize('lengths', [[3, 1], [0, 2], [0, 0]])
def test_two_processes(lengths, tmp_path):
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=work, args=(rank, tmp_path, lengths))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    rows = [
        [100 * r + 2 * i, 100 * r + 2 * i + 1]
        for r in (0, 1)
        for i in range(lengths[r])
    ]
    classes = [200 * r + i for r in (0, 1) for i in range(lengths[r])]
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pt')
        assert found[0].tolist() == rows and found[0].shape == (sum(lengths), 2)
        assert found[1].tolist() == classes and found[1].dtype == torch.long
