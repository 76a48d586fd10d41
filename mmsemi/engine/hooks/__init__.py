from .atomic_checkpoint_hook import AtomicCheckpointHook
from .exact_resume_hook import ExactResumeHook
from .mean_teacher_hook import MeanTeacherHook
from .pseudo_label_hook import PseudoLabelHook
from .reliability_hook import ReliabilityHook
from .semi_visualization_hook import SemiVisualizationHook
from .set_iter_hook import SetIterHook

__all__ = [
    'AtomicCheckpointHook',
    'ExactResumeHook',
    'MeanTeacherHook',
    'PseudoLabelHook',
    'ReliabilityHook',
    'SemiVisualizationHook',
    'SetIterHook',
]
