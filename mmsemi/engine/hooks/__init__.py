from .atomic_checkpoint_hook import AtomicCheckpointHook
from .exact_resume_hook import ExactResumeHook
from .mean_teacher_hook import MeanTeacherHook
from .set_iter_hook import SetIterHook

__all__ = [
    'AtomicCheckpointHook',
    'ExactResumeHook',
    'MeanTeacherHook',
    'SetIterHook',
]
