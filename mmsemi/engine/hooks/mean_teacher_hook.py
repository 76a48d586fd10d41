"""The moving average that makes a student's teacher."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.engine.checks import check_training
from mmsemi.engine.unwrap import unwrapped
from mmsemi.models.utils.ema import BUFFERS, ema_update, warmup_decay
from mmsemi.models.utils.lengths import check_length, steps
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
        start_iter: Before this step, or share of the training, the teacher is a copy.
            Defaults to None: as long as the method trains on labels alone.
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
        start_iter: float | None = None,
        buffers: str = 'ema',
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(
                f'MeanTeacherHook decay={decay} is not in [0, 1): it is the weight of '
                'the teacher, e.g. 0.99 (mmengine writes momentum = 1 - decay)'
            )
        if buffers not in BUFFERS:
            raise ValueError(f'buffers={buffers!r}: choose one of {BUFFERS}')
        if start_iter is not None:
            check_length(start_iter, 'MeanTeacherHook.start_iter')
        self.decay = decay
        self.warmup = warmup
        self.start_iter = start_iter
        self.buffers = buffers

    def before_train(self, runner: Runner) -> None:
        """Copy the student, unless the run is resumed."""
        model = self._model(runner)
        check_training(runner)
        # a stand-in for a runner may have no end
        self._start = self._find_start(model, getattr(runner, 'max_iters', math.inf))
        self._check_method(model)
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
        if runner.iter < self._start:
            ema_update(model.teacher, model.student, 0.0, 'copy')
            return
        decay = self.decay
        if self.warmup:
            accumulated = runner.optim_wrapper._accumulative_counts
            decay = warmup_decay((runner.iter - self._start) // accumulated, decay)
        ema_update(model.teacher, model.student, decay, self.buffers)

    def _find_start(self, model: Any, max_iters: float) -> int:
        """Return the step before which the teacher is a copy.

        Raises:
            ValueError: If the method asks the teacher before it, or nobody ever does.
        """
        length = getattr(model, 'warmup_iters', 0)
        tell = getattr(model, 'warmup_steps', None)
        warmup = tell(max_iters) if tell else steps(length, max_iters, 'warmup_iters')
        start = warmup
        if self.start_iter is not None:
            start = steps(self.start_iter, max_iters, 'MeanTeacherHook.start_iter')
        if start < warmup:
            raise ValueError(
                f'{type(model).__name__} trains on labels alone for '
                f'warmup_iters={length} ({warmup} steps), but its teacher leaves the '
                f'student after start_iter={self.start_iter}: set '
                f'MeanTeacherHook.start_iter={length} or more, or leave it out'
            )
        if start >= max_iters:
            given = f'start_iter={self.start_iter}'
            given = f'warmup_iters={length}' if self.start_iter is None else given
            raise ValueError(
                f'the teacher is a copy of the student for {given} steps, but the '
                f'training has {max_iters}: train longer, or give a share of the '
                'training, e.g. 0.2'
            )
        return start

    def _check_method(self, model: Any) -> None:
        """Refuse settings that contradict the method's."""
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
