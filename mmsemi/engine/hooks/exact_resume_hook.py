"""A run that was cut and resumed ends with the bits of the run left alone."""

import json
import os
from pathlib import Path

from mmengine.dist import broadcast_object_list, get_rank, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmsemi.datasets.samplers import MultiSourceSampler
from mmsemi.datasets.seeding import derive_seed, seed_everything
from mmsemi.engine.checks import check_training
from mmsemi.models.utils.lengths import steps
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Seed each step from (seed, rank, iteration), and finish a cut validation.

    Saved generator states cannot make a resume exact: dataloader workers and
    prefetching have moved on when the checkpoint is written. Seeds that
    depend on the position alone need no state. The samples have theirs from
    :class:`mmsemi.datasets.MultiSourceSampler`, the steps (dropout, mixing,
    sampling of anchors) have theirs from here. On one machine, on CPU, the
    resumed run is then equal bit for bit.

    A run that is killed after a checkpoint was written and before its
    validation was done runs this validation when it is resumed. What was
    validated is noted in ``<work_dir>/validated.json``.

    Raises:
        ValueError: Before the first step, if no seed is fixed
            (``randomness=dict(seed=…)``) or it is not that of the checkpoint,
            if checkpoints fall between two optimiser steps, or as
            :func:`mmsemi.engine.checks.check_training` says.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Remember the config's seed: a resume puts the checkpoint's in its place."""
        self._seed = runner._randomness_cfg.get('seed')
        self._pending = self._training = False

    def before_train(self, runner: Runner) -> None:
        """Check what exactness needs, and whether a kill has cut a validation."""
        self._training = True
        self._check_seed(runner)
        self._check_checkpoints(runner)
        check_training(runner)
        if not isinstance(runner.train_dataloader.sampler, MultiSourceSampler):
            runner.logger.warning(
                'ExactResumeHook: the samples are not seeded, and a resumed run sees '
                "others: draw them with sampler=dict(type='MultiSourceSampler', …)"
            )
        if runner.iter == 0 and is_main_process():
            # an earlier run in this folder says nothing about this one
            self._note(runner).unlink(missing_ok=True)
        # rank 0 decides: the others may not see its disk
        due = [self._validation_is_due(runner)]
        broadcast_object_list(due)
        self._pending = due[0]

    def before_train_epoch(self, runner: Runner) -> None:
        """Run the pending validation, when all hooks have started."""
        if self._pending:
            self._pending = False
            runner.logger.info(
                f'The validation at iteration {runner.iter} was cut, it is run now.'
            )
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Seed the generators for this step."""
        seed_everything(derive_seed(runner.seed, 'step', get_rank(), runner.iter))

    def after_val(self, runner: Runner) -> None:
        """Note that this iteration is validated, and its best checkpoint saved."""
        if self._training and is_main_process():
            path = self._note(runner)
            aside = path.with_name(path.name + '.tmp')
            aside.write_text(json.dumps({'iter': runner.iter}), 'utf-8')
            os.replace(aside, path)

    def _check_seed(self, runner: Runner) -> None:
        if self._seed is None:
            raise ValueError(
                'ExactResumeHook needs a fixed seed: set randomness=dict(seed=0) in '
                'the config, or remove the hook (and with it the exact resume)'
            )
        resumed = runner._randomness_cfg.get('seed')
        if resumed != self._seed:
            raise ValueError(
                f'the checkpoint was trained with seed {resumed}, but the config has '
                f'randomness.seed={self._seed}: set it to {resumed} to continue, or '
                'give the checkpoint as load_from without resume to start from it'
            )

    @staticmethod
    def _check_checkpoints(runner: Runner) -> None:
        """Refuse checkpoints that would lose accumulated gradients."""
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        for hook in runner.hooks:
            if not isinstance(hook, CheckpointHook) or hook.by_epoch:
                continue
            if hook.interval <= 0:
                continue
            # a share becomes steps in the hook's own before_train
            interval = max(1, steps(hook.interval, runner.max_iters, 'interval'))
            if interval % counts:
                raise ValueError(
                    f'checkpoints every {interval} iterations fall between the '
                    f'optimiser steps, which are {counts} iterations apart '
                    '(accumulative_counts), and cannot be resumed exactly: set '
                    f'{type(hook).__name__}.interval to a multiple of {counts}'
                )

    @staticmethod
    def _note(runner: Runner) -> Path:
        return Path(runner.work_dir, 'validated.json')

    def _validation_is_due(self, runner: Runner) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None or not isinstance(loop, IterBasedTrainLoop):
            return False
        if runner.iter == 0 or runner.iter < loop.val_begin:
            return False
        loop._decide_current_val_interval()
        if runner.iter % loop.val_interval and runner.iter != runner.max_iters:
            return False
        try:
            return (
                json.loads(self._note(runner).read_text('utf-8'))['iter'] < runner.iter
            )
        except FileNotFoundError:
            return True
