"""docs/data_flow.md tells the truth, step by step."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from mmsemi.engine import MeanTeacherHook
from mmsemi.registry import DATASETS, MODELS

PAGE = Path(__file__).parents[1] / 'docs' / 'data_flow.md'
TRAINED = 'decode_head.conv_seg.weight'


def describe(value: object) -> object:
    """Write a batch as the page does."""
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, BaseDataElement):
        return {key: describe(item.data) for key, item in sorted(value.items())}
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f'{value.dtype} {tuple(value.shape)}'.removeprefix('torch.')
    if value is None or isinstance(value, bool):
        return value
    return type(value).__name__


@pytest.fixture
def blocks() -> dict[str, list]:
    """Return the literals of the page by the name of their step."""
    found = {}
    for section in re.split(r'^## \d\. ', PAGE.read_text('utf-8'), flags=re.M)[1:]:
        code = re.findall(r'```python\n(.*?)```', section, flags=re.S)
        found[section.splitlines()[0]] = [ast.literal_eval(block) for block in code]
    return found


def test_items_and_branches(blocks, tiny_dataloader, default_scope):
    dataset = DATASETS.build(tiny_dataloader['dataset'])
    infos = [describe(dataset.get_data_info(i)) for i in (0, 2)]
    assert infos == blocks['The dataset item']

    shared = tiny_dataloader['dataset']['labeled']['pipeline'][:-1]
    results = Compose(dataset.sources['labeled'].pipeline.transforms[: len(shared)])(
        dataset.get_data_info(0)
    )
    arrays = {k: describe(v) for k, v in results.items() if isinstance(v, np.ndarray)}
    assert [arrays] == blocks['Shared geometry']

    assert [describe(dataset[i]) for i in (0, 2)] == blocks['MultiBranch']


def test_batch_preprocessor_and_loss(
    blocks, tiny_dataloader, tiny_segmentor, default_scope
):
    loader = Runner.build_dataloader(tiny_dataloader, seed=0)
    drawn = [i for i, _ in zip(iter(loader.sampler), range(4), strict=False)]
    parts = [
        'labeled' if i < loader.dataset.offsets['unlabeled'] else 'unlabeled'
        for i in drawn
    ]
    assert [parts] == blocks['MultiSourceSampler']

    batch = next(iter(loader))
    assert [describe(batch)] == blocks['branch_collate']

    model = MODELS.build(dict(type='MeanTeacher', segmentor=tiny_segmentor))
    data = model.data_preprocessor(batch, training=True)
    assert [describe(data)] == blocks['MultiBranchDataPreprocessor']

    losses = model(**data, mode='loss')
    assert [describe(losses)] == blocks['The loss']
    total, _ = model.parse_losses(losses)
    expected = losses['sup.decode.loss_ce'] + losses['loss_unsup']
    torch.testing.assert_close(total, expected)


def test_teacher_follows(tiny_dataloader, tiny_segmentor, default_scope):
    loader = iter(Runner.build_dataloader(tiny_dataloader, seed=0))
    model = MODELS.build(dict(type='MeanTeacher', segmentor=tiny_segmentor))
    optimizer = torch.optim.SGD(model.student.parameters(), lr=0.1)
    runner = SimpleNamespace(model=model, optim_wrapper=OptimWrapper(optimizer), iter=0)
    hook = MeanTeacherHook()
    hook.before_train(runner)

    def weight(network: nn.Module) -> torch.Tensor:
        return network.state_dict()[TRAINED].clone()

    students = []
    for runner.iter in range(2):
        model.train_step(next(loader), runner.optim_wrapper)
        students.append(weight(model.student))
        hook.after_train_iter(runner, runner.iter)
        mean = sum(students) / len(students)
        torch.testing.assert_close(weight(model.teacher), mean)
    assert not torch.equal(*students)
