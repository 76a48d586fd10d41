"""The time of a training, told to the model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.engine.checks import check_training
from mmsemi.engine.unwrap import unwrapped
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class SetIterHook(Hook):
    """Call ``model.set_iter(i, n)`` before each step.

    ``i`` counts from 0, ``n`` is the length of the training.

    Raises:
        TypeError: Before the first step, if the model has no ``set_iter``.
        ValueError: Before it, as :func:`mmsemi.engine.checks.check_training` says.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check the model, and what the training must have."""
        if not hasattr(self._model(runner), 'set_iter'):
            raise TypeError(
                'SetIterHook tells a method of mmsemi the time, but the model is a '
                f'{type(self._model(runner)).__name__}: remove the hook'
            )
        check_training(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Set the time."""
        self._model(runner).set_iter(runner.iter, runner.max_iters)

    @staticmethod
    def _model(runner: Runner) -> Any:
        return unwrapped(runner)
