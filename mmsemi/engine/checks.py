"""What a training must have before its first step."""

from collections.abc import Collection
from typing import Any
from weakref import WeakSet

from mmengine.runner import EpochBasedTrainLoop, Runner

from mmsemi.datasets.collate import check_collate
from mmsemi.datasets.samplers import MultiSourceSampler, check_batch_size
from mmsemi.datasets.wrapped import check_images, inner_datasets

_CHECKED: WeakSet[Runner] = WeakSet()
"""Runners whose validation images were looked at, for the second hook that asks."""


def check_training(runner: Runner) -> None:
    """Refuse a training whose data or hooks do not fit the method.

    :class:`SetIterHook`, :class:`MeanTeacherHook` and :class:`ExactResumeHook` each
    ask for it, so that one of them is enough.

    Args:
        runner: In ``before_train``.

    Raises:
        ValueError: If epochs would have no end, the batch size is not the sampler's
            mixture, branches are not collated, the method needs a hook that is not
            there, or an image of the validation has no tags or boxes, though its
            pipeline loads them.
    """
    if not isinstance(runner, Runner):
        return  # a stand-in, which has no data and no other hooks
    _check_end(runner)
    check_batch_size(runner.train_dataloader)
    check_collate(runner.train_dataloader)
    if runner.val_loop is not None and runner not in _CHECKED:
        # else an image without tags stops the training at its first validation
        for dataset in inner_datasets(runner.val_loop.dataloader.dataset):
            check_images(dataset)
        _CHECKED.add(runner)
    model: Any = getattr(runner.model, 'module', runner.model)
    there = {kind.__name__ for hook in runner.hooks for kind in type(hook).__mro__}
    for needed, hook, why in (
        (
            'needs_time',
            'SetIterHook',
            'changes with time, but is not told it',
        ),
        ('needs_mean_teacher', 'MeanTeacherHook', 'has a teacher, but nobody moves it'),
    ):
        if getattr(model, needed, False) and hook not in there:
            raise ValueError(
                f'{type(model).__name__} {why}: add dict(type={hook!r}) to custom_hooks'
            )


def _check_end(runner: Runner) -> None:
    """Refuse epochs of a mixture, which is drawn endlessly."""
    sampler = runner.train_dataloader.sampler
    if isinstance(sampler, MultiSourceSampler) and isinstance(
        runner.train_loop, EpochBasedTrainLoop
    ):
        name = type(runner.train_loop).__name__
        raise ValueError(endless(name, runner.max_epochs, sampler.num_per_source))


def endless(loop: str, max_epochs: int | None, parts: Collection[str]) -> str:
    """Say why a loop of epochs would never end one, and what to write instead."""
    return (
        f'{loop} waits for the end of an epoch, but MultiSourceSampler draws endlessly:'
        " count the epochs of one part, train_cfg=dict(type='MultiSourceTrainLoop', "
        f'max_epochs={max_epochs}, epoch_of={list(parts)[-1]!r}), or give max_iters'
    )
