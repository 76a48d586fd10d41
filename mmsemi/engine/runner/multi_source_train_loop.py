"""A training whose lengths are those of its paper."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from mmsemi.models.utils.lengths import steps
from mmsemi.registry import LOOPS


@LOOPS.register_module()
class MultiSourceTrainLoop(IterBasedTrainLoop):
    """Train for a number of steps, or of epochs of one part of the data.

    The parts of a batch have no epoch in common: while the unlabelled images are
    seen once, the few labelled ones are seen many times. A paper counts the epochs of
    one part. To the runner and its hooks the loop is one of steps (``by_epoch=False``).

    Validation intervals and the ``begin`` and ``end`` of the schedules may be shares
    of the training, see :func:`mmsemi.models.utils.lengths.steps`.

    Args:
        runner: The runner.
        dataloader: Dataloader or config.
        max_iters: Steps. Given, it counts, and not ``max_epochs``.
        max_epochs: Epochs of one part of a ``MultiSourceDataset``.
        epoch_of: The name of this part, or of several that are counted as one. Defaults
            to ``'unlabeled'``.
        repeat: A part whose list is repeated whole until it is no shorter than those,
            and counts with them, as the labelled images in ST++. By default none.
        drop_last: Whether the last, incomplete batch of an epoch is left out, see
            :func:`epoch_steps`. Defaults to True.
        val_begin: First step after which to validate, or a share. Defaults to 1.
        val_interval: Steps from one validation to the next, or a share. Defaults
            to 1000.
        dynamic_intervals: As in mmengine.

    Raises:
        ValueError: If there is no length, the sampler draws nothing from the part, or
            as :func:`resolve_schedules` says.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int | None = None,
        max_epochs: float | None = None,
        epoch_of: str | Sequence[str] = 'unlabeled',
        repeat: str | None = None,
        drop_last: bool = True,
        val_begin: float = 1,
        val_interval: float = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        # builds the dataloader, whose data set tells the length of an epoch
        BaseLoop.__init__(self, runner, dataloader)
        if max_iters is None:
            max_iters = self._count(max_epochs, epoch_of, repeat, drop_last)
        super().__init__(
            runner,
            self.dataloader,
            max_iters=max_iters,
            val_begin=steps(val_begin, max_iters, 'val_begin'),
            val_interval=max(1, steps(val_interval, max_iters, 'val_interval')),
            dynamic_intervals=dynamic_intervals,
        )
        if runner.param_schedulers is not None:
            # the runner builds them later, from this
            runner.param_schedulers = resolve_schedules(
                runner.param_schedulers, max_iters
            )

    def _count(
        self,
        max_epochs: float | None,
        epoch_of: str | Sequence[str],
        repeat: str | None,
        drop_last: bool,
    ) -> int:
        """Return the steps of so many epochs of parts."""
        if max_epochs is None or max_epochs <= 0:
            raise ValueError(
                f'MultiSourceTrainLoop has max_epochs={max_epochs} and no max_iters: '
                'set one of them in train_cfg to the length of the training'
            )
        sampler: Any = self.dataloader.sampler
        numbers = getattr(sampler, 'num_per_source', {})
        counted = [epoch_of] if isinstance(epoch_of, str) else list(epoch_of)
        for part in [*counted, repeat] if repeat else counted:
            if part not in numbers:
                raise ValueError(
                    f'max_epochs={max_epochs} counts epochs of the part {part!r}, but '
                    f'the training draws from {list(numbers) or "no parts"}: set '
                    'train_cfg.epoch_of to a part, or give max_iters'
                )
        size = sum(len(sampler.dataset.sources[part]) for part in counted)
        per_process = sum(numbers[part] for part in counted)
        if repeat:
            size += repeated(len(sampler.dataset.sources[repeat]), size)
            per_process += numbers[repeat]
        epoch = epoch_steps(size, per_process, sampler.world_size, drop_last)
        return max(1, round(max_epochs * epoch))


def repeated(size: int, least: int) -> int:
    """Return the length of a list repeated whole until it is no shorter than that."""
    return size * math.ceil(least / size)


def epoch_steps(
    size: int, per_process: int, processes: int = 1, drop_last: bool = True
) -> int:
    """Return the steps of one epoch, as PyTorch's loaders count them.

    ``DistributedSampler`` gives each process an equal share of the images, the last
    one filled up, and the ``DataLoader`` makes batches of the share.

    Args:
        size: Images of the part.
        per_process: Images of the part in a batch of one process.
        processes: Number of processes.
        drop_last: Whether the last batch does not count if it is incomplete.

    Returns:
        At least 1.
    """
    batches = math.ceil(size / processes) / per_process
    return max(1, math.floor(batches) if drop_last else math.ceil(batches))


def resolve_schedules(schedules: Any, max_iters: int) -> Any:
    """Return schedules whose ``begin`` and ``end`` are steps.

    Args:
        schedules: ``param_scheduler`` of a config: a schedule, a list of schedules, or
            for several optimisers a dict of such. A share of the training in ``begin``
            or ``end`` becomes steps, at least 2, since mmengine's warm-up of one step
            stays at its low rate; what is built already stays.
        max_iters: Steps of the whole training, where a schedule without ``end`` ends.

    Returns:
        A copy, a list or a dict of lists.

    Raises:
        ValueError: If a length is neither steps nor a share, or a schedule does not
            begin before its end.
    """
    if isinstance(schedules, Mapping) and 'type' not in schedules:
        return {
            name: resolve_schedules(some, max_iters) for name, some in schedules.items()
        }
    if not isinstance(schedules, Sequence):
        schedules = [schedules]
    return [
        _resolve_schedule(one, max_iters) if isinstance(one, Mapping) else one
        for one in schedules
    ]


def _resolve_schedule(schedule: Mapping, max_iters: int) -> Mapping:
    """Return a copy of one schedule, its lengths in steps."""
    resolved: Any = copy.copy(schedule)
    name = getattr(schedule['type'], '__name__', schedule['type'])
    in_epochs = schedule.get('by_epoch', True)
    for key in ('begin', 'end'):
        length = schedule.get(key, 0)
        if not isinstance(length, float):
            continue
        if in_epochs:
            raise ValueError(
                f'the schedule {name} counts epochs, and its {key}={length} is a share '
                'of the steps: set by_epoch=False'
            )
        number = max(2, steps(length, max_iters, f'{name}.{key}'))
        # so that one or two steps can be trained, too
        resolved[key] = min(number, max_iters - (key == 'begin'))
    begin, end = resolved.get('begin', 0), resolved.get('end', max_iters)
    if not in_epochs and begin >= end:
        raise ValueError(
            f'the schedule {name} begins at step {begin}, but ends at step {end} of '
            f'{max_iters}: train longer, or give begin and end in param_scheduler as '
            'shares of the training, e.g. 0.03'
        )
    return resolved
