"""The moving average that makes a student's teacher."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.engine.checks import check_training
from mmsemi.engine.unwrap import unwrapped
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
        ValueError: If a value is outside its range or contradicts the method's
            (before the first step).
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
        self._check_method(model)
        check_training(runner)
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

    def _check_method(self, model: Any) -> None:
        """Refuse settings that contradict the method's."""
        warmup = getattr(model, 'warmup_iters', 0)
        if self.start_iter < warmup:
            raise ValueError(
                f'{type(model).__name__} trains on labels alone for '
                f'warmup_iters={warmup} steps, but its teacher leaves the student '
                f'after start_iter={self.start_iter}: set '
                f'MeanTeacherHook.start_iter={warmup} or more'
            )
        if getattr(model, 'teacher_passes', 1) == 2 and self.buffers != 'skip':
            raise ValueError(
                'with teacher_passes=2 the teacher gathers running statistics of its '
                f"own, but MeanTeacherHook has buffers={self.buffers!r}: set 'skip'"
            )

    @staticmethod
    def _model(runner: Runner) -> Any:
        model = unwrapped(runner)
        if not (hasattr(model, 'student') and hasattr(model, 'teacher')):
            raise TypeError(
                f'MeanTeacherHook needs a model with student and teacher, got '
                f'{type(model).__name__}: remove the hook, or use a method with a '
                'teacher, e.g. MeanTeacher'
            )
        return model
