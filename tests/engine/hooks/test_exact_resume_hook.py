import json

import pytest
import torch
from mmengine.hooks import Hook

from mmsemi.engine import ExactResumeHook

SCORES = dict.fromkeys(range(1, 8), 0.5)
CHECKPOINTS = dict(type='AtomicCheckpointHook', by_epoch=False, interval=2)


class Watch(Hook):
    """Note the steps' random numbers and the iterations that are validated."""

    priority = 'LOW'

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at
        self.drawn: dict[int, float] = {}
        self.validated: list[int] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.drawn[runner.iter] = torch.rand(()).item()

    def before_val(self, runner):
        if runner.iter == self.fail_at:
            raise RuntimeError('the power fails')
        self.validated.append(runner.iter)


@pytest.fixture
def watched(toy_runner, toy_validation, tmp_path):
    def run(fail_at=None, resume_from=None, **changes):
        watch = Watch(fail_at)
        runner = toy_runner(
            custom_hooks=[ExactResumeHook(), watch],
            resume=resume_from is not None,
            load_from=resume_from and str(tmp_path / f'run/iter_{resume_from}.pth'),
            **dict(default_hooks=dict(checkpoint=CHECKPOINTS))
            | toy_validation(SCORES)
            | changes,
        )
        if fail_at is None:
            runner.train()
        else:
            with pytest.raises(RuntimeError, match='the power fails'):
                runner.train()
        return watch

    return run


def test_steps_are_seeded_by_their_number(watched):
    whole = watched().drawn
    assert len(set(whole.values())) == 7
    resumed = watched(resume_from=4).drawn
    assert resumed == {step: whole[step] for step in (4, 5, 6)}
    other = watched(randomness=dict(seed=1)).drawn
    assert not set(other.values()) & set(whole.values())


def test_cut_validation_is_run_once(watched, tmp_path):
    assert watched(fail_at=4).validated == [2]
    assert watched(resume_from=4, fail_at=6).validated == [4]
    assert watched(resume_from=6).validated == [6, 7]
    assert json.loads((tmp_path / 'run/validated.json').read_text()) == {'iter': 7}
    assert watched(resume_from=7).validated == []


def test_last_validation_is_made_up_for(watched):
    watched(fail_at=7)
    assert watched(resume_from=7).validated == [7]


def test_finished_validation_is_not_repeated(watched):
    watched()
    assert watched(resume_from=4).validated == [6, 7]


def test_note_of_an_earlier_run_is_forgotten(watched):
    watched()
    watched(fail_at=4)
    assert watched(resume_from=4).validated == [4, 6, 7]


def test_nothing_is_due_before_val_begin(watched):
    loop = dict(type='IterBasedTrainLoop', max_iters=7, val_interval=2, val_begin=5)
    assert watched(fail_at=6, train_cfg=loop).validated == []
    assert watched(resume_from=4, train_cfg=loop).validated == [6, 7]


def test_intervals_that_change(watched):
    loop = dict(
        type='IterBasedTrainLoop',
        max_iters=7,
        val_interval=2,
        dynamic_intervals=[(5, 3)],
    )
    assert watched(train_cfg=loop).validated == [2, 6, 7]
    watched(fail_at=6, train_cfg=loop)
    assert watched(resume_from=4, train_cfg=loop).validated == [6, 7]
    assert watched(fail_at=2, train_cfg=loop).validated == []
    assert watched(resume_from=2, train_cfg=loop).validated == [2, 6, 7]


def test_needs_a_seed(toy_runner):
    runner = toy_runner(custom_hooks=[ExactResumeHook()], randomness=dict(seed=None))
    with pytest.raises(ValueError, match=r'needs a fixed seed: set randomness=dict'):
        runner.train()


def test_checkpoint_of_another_seed(watched):
    watched()
    with pytest.raises(ValueError, match=r'trained with seed 0, but .*seed=3: set it'):
        watched(resume_from=4, randomness=dict(seed=3))


def test_checkpoints_between_optimiser_steps(watched):
    accumulation = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=4)
    with pytest.raises(ValueError, match=r'every 2 iterations fall .*multiple of 4'):
        watched(optim_wrapper=accumulation)
    share = dict(checkpoint=CHECKPOINTS | dict(interval=0.3))
    with pytest.raises(ValueError, match=r'every 2 iterations fall .*multiple of 4'):
        watched(optim_wrapper=accumulation, default_hooks=share)


@pytest.mark.parametrize('hook', ['ExactResumeHook', 'SetIterHook'])
def test_batch_size_and_mixture(toy_runner, tiny_dataloader, hook):
    runner = toy_runner(
        custom_hooks=[dict(type=hook)],
        train_dataloader=tiny_dataloader | dict(batch_size=3),
    )
    with pytest.raises(ValueError, match=r'batch_size = 3, but .* sums to 4: set'):
        runner.train()


def test_branches_that_are_not_collated(toy_runner, tiny_dataloader):
    del tiny_dataloader['collate_fn']
    runner = toy_runner(
        custom_hooks=[dict(type='ExactResumeHook')], train_dataloader=tiny_dataloader
    )
    with pytest.raises(ValueError, match=r"set collate_fn=dict\(type='branch_collate'"):
        runner.train()
