"""The moving average that makes a student's teacher."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmsemi.models.utils.ema import BUFFERS, ema_update, warmup_decay
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Update ``model.teacher`` from ``model.student`` after each optimiser step.

    teacher = decay * teacher + (1 - decay) * student. ``decay`` is the weight
    of the *teacher*, as papers write it; mmengine's and mmdet's ``momentum``
    is 1 - decay.

    The student is copied to the teacher before the first step (after weights
    were loaded, and never on a resume), and after every step before
    ``start_iter``. With gradient accumulation the teacher moves when the
    student does.

    Args:
        decay: In [0, 1). Defaults to 0.99.
        warmup: Use min(1 - 1/(i + 1), decay) for the i-th update from
            ``start_iter`` on. Defaults to True.
        start_iter: Before this step the teacher is a copy. Defaults to 0.
        buffers: ``'ema'``, ``'copy'`` or ``'skip'``, see
            :func:`mmsemi.models.utils.ema.ema_update`. Defaults to ``'ema'``.

    Raises:
        ValueError: If a value is outside its range.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        decay: float = 0.99,
        warmup: bool = True,
        start_iter: int = 0,
        buffers: str = 'ema',
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(
                f'MeanTeacherHook decay={decay} is not in [0, 1): it is the weight of '
                'the teacher, e.g. 0.99 (mmengine writes momentum = 1 - decay)'
            )
        if buffers not in BUFFERS:
            raise ValueError(f'buffers={buffers!r}: choose one of {BUFFERS}')
        self.decay = decay
        self.warmup = warmup
        self.start_iter = start_iter
        self.buffers = buffers

    def before_train(self, runner: Runner) -> None:
        """Copy the student, unless the run is resumed."""
        model = self._model(runner)
        if runner.iter == 0:
            model.teacher.load_state_dict(model.student.state_dict())

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: object = None,
    ) -> None:
        """Move the teacher if the optimiser took a step."""
        if not runner.optim_wrapper.should_update():
            return
        model = self._model(runner)
        if runner.iter < self.start_iter:
            ema_update(model.teacher, model.student, 0.0, 'copy')
            return
        decay = self.decay
        if self.warmup:
            accumulated = runner.optim_wrapper._accumulative_counts
            decay = warmup_decay((runner.iter - self.start_iter) // accumulated, decay)
        ema_update(model.teacher, model.student, decay, self.buffers)

    @staticmethod
    def _model(runner: Runner) -> Any:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not (hasattr(model, 'student') and hasattr(model, 'teacher')):
            raise TypeError(
                f'MeanTeacherHook needs a model with student and teacher, got '
                f'{type(model).__name__}: use a method of mmsemi, e.g. MeanTeacher'
            )
        return model
