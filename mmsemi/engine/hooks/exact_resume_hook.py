"""A run that was cut and resumed ends with the bits of the run left alone."""

import json
import os

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.datasets.samplers import check_batch_size
from mmsemi.datasets.seeding import derive_seed, seed_everything
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
            (``randomness=dict(seed=…)``) or the batch size is not the
            sampler's mixture.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check the seed, and run the validation that a kill has cut."""
        if runner._randomness_cfg.get('seed') is None:
            raise ValueError(
                'ExactResumeHook needs a fixed seed: set randomness=dict(seed=0) in '
                'the config, or remove the hook (and with it the exact resume)'
            )
        check_batch_size(runner.train_dataloader)
        self._pending = self._validation_is_due(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Run the pending validation, when all hooks have started."""
        if self._pending:
            runner.logger.info(
                f'The validation at iteration {runner.iter} was cut, it is run now.'
            )
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Seed the generators for this step."""
        seed_everything(derive_seed(runner.seed, 'step', get_rank(), runner.iter))

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Note that this iteration is validated."""
        if get_rank() == 0:
            path = self._note(runner)
            with open(path + '.tmp', 'w', encoding='utf-8') as file:
                json.dump({'iter': runner.iter}, file)
            os.replace(path + '.tmp', path)

    @staticmethod
    def _note(runner: Runner) -> str:
        return os.path.join(runner.work_dir, 'validated.json')

    def _validation_is_due(self, runner: Runner) -> bool:
        loop = runner.train_loop
        if runner.iter == 0 or runner.val_loop is None or runner.iter < loop.val_begin:
            return False
        ends = runner.iter == runner.max_iters
        if runner.iter % loop.val_interval and not ends:
            return False
        try:
            with open(self._note(runner), encoding='utf-8') as file:
                return json.load(file)['iter'] < runner.iter
        except FileNotFoundError:
            return True
