from .atomic_checkpoint_hook import AtomicCheckpointHook
from .exact_resume_hook import ExactResumeHook
from .mean_teacher_hook import MeanTeacherHook
from .semi_visualization_hook import SemiVisualizationHook
from .set_iter_hook import SetIterHook

__all__ = [
    'AtomicCheckpointHook',
    'ExactResumeHook',
    'MeanTeacherHook',
    'SemiVisualizationHook',
    'SetIterHook',
]
