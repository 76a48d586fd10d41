"""The time of a training, told to the model."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmsemi.datasets.samplers import check_batch_size
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class SetIterHook(Hook):
    """Call ``model.set_iter(i, n)`` before each step.

    ``i`` counts from 0, ``n`` is the length of the training. Before the first
    step the batch size is compared with the sampler's mixture.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check that batches hold the mixture of the sampler."""
        check_batch_size(runner.train_dataloader)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Set the time."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.set_iter(runner.iter, runner.max_iters)
