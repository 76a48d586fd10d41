"""A model of 30 weights in mmengine's own Runner."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

NUMBERS = itertools.count()


class ToyMethod(BaseModel):
    """A student and a teacher that start from different weights."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)
        )
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        nn.init.zeros_(self.teacher[0].weight)
        self.register_buffer('steps', torch.tensor(0))

    def forward(self, inputs: list[Tensor], mode: str = 'loss') -> object:
        if mode == 'predict':
            return [dict(steps=int(self.steps))] * len(inputs)
        self.steps += 1
        return {'loss': (self.student(torch.stack(inputs)) - 1).square().mean()}

    def set_iter(self, iteration: int, max_iters: int) -> None:
        self.time = iteration, max_iters


class ScoreOfStep(BaseMetric):
    """Score a model by its number of steps, from a table."""

    def __init__(self, table: dict[int, float]) -> None:
        super().__init__()
        self.table = table

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(mIoU=self.table[results[0]['steps']])


class Recorder(Hook):
    """Note the state dict before the first and after each step."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def _note(self, runner: Runner) -> None:
        self.states.append(copy.deepcopy(runner.model.state_dict()))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.states:
            self._note(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._note(runner)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def toy_validation() -> Callable[[dict[int, float]], dict]:
    """Return ``config(table)``: validate after each 2nd step, score by the table."""

    def config(table: dict[int, float]) -> dict:
        return dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, val_interval=2),
            val_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=[dict(inputs=torch.zeros(3))],
            ),
            val_cfg=dict(type='ValLoop'),
            val_evaluator=[ScoreOfStep(table)],
        )

    return config


@pytest.fixture
def toy_runner(tmp_path: Path) -> Callable[..., Runner]:
    """Return ``build(**changes)``, a Runner of 7 steps on the CPU."""

    def build(**changes) -> Runner:
        data = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
        torch.manual_seed(0)
        hooks = dict(checkpoint=None, logger=None, timer=None)
        cfg = dict(
            model=ToyMethod(),
            work_dir=str(tmp_path / 'run'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='InfiniteSampler', shuffle=False),
                dataset=[dict(inputs=row) for row in data],
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=7),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=hooks,
            randomness=dict(seed=0),
            log_level='ERROR',
            default_scope='mmsemi',
            # runs of one second would share their message hub
            experiment_name=f'toy_{next(NUMBERS)}',
        )
        hooks |= changes.pop('default_hooks', {})
        return Runner(**cfg | changes)

    return build
