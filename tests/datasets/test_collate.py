"""Batches by branch."""

import copy
import subprocess
import sys

import pytest
import torch
from mmengine.registry import FUNCTIONS, DefaultScope
from mmengine.runner import Runner
from mmseg.structures import SegDataSample

from mmsemi.datasets import branch_collate, check_collate


def packed(value: int) -> dict:
    sample = SegDataSample(metainfo=dict(value=value))
    return dict(inputs=torch.full((3, 2, 2), value), data_samples=sample)


def test_groups_by_branch_and_keeps_the_order():
    batch = [
        dict(sup=packed(0)),
        dict(unsup_teacher=packed(1), unsup_student=packed(2)),
        dict(sup=packed(3)),
        dict(unsup_teacher=packed(4), unsup_student=packed(5)),
    ]
    grouped = branch_collate(batch)
    expected = dict(sup=[0, 3], unsup_teacher=[1, 4], unsup_student=[2, 5])
    assert set(grouped) == {'inputs', 'data_samples'}
    for branch, values in expected.items():
        inputs, samples = grouped['inputs'][branch], grouped['data_samples'][branch]
        assert [int(x[0, 0, 0]) for x in inputs] == values
        assert [sample.value for sample in samples] == values
    assert list(grouped['inputs']) == list(grouped['data_samples']) == list(expected)


def test_sample_without_branches_is_refused():
    with pytest.raises(ValueError, match=r'without branches.*MultiBranch'):
        branch_collate([packed(0)])


@pytest.mark.parametrize('name', ['branch_collate', 'mmsemi.branch_collate'])
def test_resolves_from_a_plain_mmseg_config(tiny_dataloader, name):
    def prefix(part: dict, key: str) -> None:
        part[key] = f'mmsemi.{part[key]}'

    dataset = tiny_dataloader['dataset']
    prefix(dataset, 'type')
    prefix(dataset['unlabeled'], 'type')
    prefix(tiny_dataloader['sampler'], 'type')
    for source in ('labeled', 'unlabeled'):
        branches = dataset[source]['pipeline'][-1]
        prefix(branches, 'type')
        for steps in branches.values():
            for step in steps if isinstance(steps, list) else []:
                prefix(step, 'type')
    tiny_dataloader['collate_fn'] = dict(type=name)
    with DefaultScope.overwrite_default_scope('mmseg'):
        loader = Runner.build_dataloader(tiny_dataloader, seed=0)
    assert loader.collate_fn.func is branch_collate
    assert FUNCTIONS.get(name) is branch_collate
    batch = next(iter(loader))
    assert {branch: len(x) for branch, x in batch['inputs'].items()} == dict(
        sup=2, unsup_teacher=2, unsup_student=2
    )


@pytest.mark.parametrize('name', [None, 'pseudo_collate', 'default_collate'])
def test_another_collate_function_is_refused(tiny_dataloader, default_scope, name):
    check_collate(Runner.build_dataloader(copy.deepcopy(tiny_dataloader), seed=0))
    del tiny_dataloader['collate_fn']
    if name:
        tiny_dataloader['collate_fn'] = dict(type=name)
    loader = Runner.build_dataloader(copy.deepcopy(tiny_dataloader), seed=0)
    match = rf"{name or 'pseudo_collate'}, but the samples of 'labeled' have branches"
    with pytest.raises(ValueError, match=match):
        check_collate(loader)
    # samples without branches are collated as mmseg does it
    dataset = tiny_dataloader['dataset']
    dataset['labeled']['pipeline'][-1] = dict(type='PackSegInputs')
    del dataset['unlabeled']
    tiny_dataloader['sampler']['num_per_source'] = dict(labeled=4)
    check_collate(Runner.build_dataloader(tiny_dataloader, seed=0))


def test_prefixed_name_needs_no_import():
    code = (
        'import sys; from mmengine.registry import FUNCTIONS\n'
        "assert 'mmsemi' not in sys.modules\n"
        "print(FUNCTIONS.get('mmsemi.branch_collate').__module__)"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ['mmsemi.datasets.collate'], done.stderr
