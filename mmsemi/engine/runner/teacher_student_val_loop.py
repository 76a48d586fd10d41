"""Student and teacher, validated in one pass."""

import copy
from collections.abc import Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, ValLoop
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader

from mmsemi.engine.unwrap import unwrapped
from mmsemi.registry import LOOPS


@LOOPS.register_module()
class TeacherStudentValLoop(ValLoop):
    """Validate every network of the method in one pass over the data.

    ``predict_on`` is validated too where it is no network but a fusion of them.

    Each image is loaded once; each network has an evaluator of its own. The
    metrics are named ``teacher/mIoU``, ``student/mIoU`` (after the method's
    ``networks()``), and the plain ``mIoU`` is that of ``predict_on``, so that
    ``save_best='mIoU'`` and readers of plain logs work as ever.

    A model without ``networks()`` is validated as mmengine does it.

    Args:
        runner: The runner.
        dataloader: Dataloader or config.
        evaluator: Evaluator or config, one copy of it for each network.
        fp16: As in mmengine. Defaults to False.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16=fp16)
        model = unwrapped(runner)
        self.names: list[str] = list(getattr(model, 'networks', dict)())
        if self.names and model.predict_on not in self.names:
            self.names.append(model.predict_on)
        self.evaluators = {name: copy.deepcopy(self.evaluator) for name in self.names}
        self._model = model

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Let each network predict one batch."""
        if not self.names:
            super().run_iter(idx, data_batch)
            return
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        shown = None
        for name in self.names:
            with self._model.predicting_on(name), autocast(enabled=self.fp16):
                outputs = self.runner.model.val_step(copy.deepcopy(data_batch))
            self.evaluators[name].process(data_samples=outputs, data_batch=data_batch)
            if name == self._model.predict_on:
                shown = outputs
        self.runner.call_hook(
            'after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=shown
        )

    def run(self) -> dict:
        """Validate and return the metrics."""
        if not self.names:
            return super().run()
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        metrics = self._evaluate()
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    def _evaluate(self) -> dict:
        """Return the metrics of ``predict_on`` as they are, then all by network."""
        plain, named = {}, {}
        for name, evaluator in self.evaluators.items():
            self.runner.logger.info(f'Metrics of the {name}:')
            found = evaluator.evaluate(len(self.dataloader.dataset))
            named.update({f'{name}/{key}': value for key, value in found.items()})
            if name == self._model.predict_on:
                plain = found
        return {**plain, **named}
