from .affinity_label_hook import AffinityLabelHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .cam_hook import CamHook
from .exact_resume_hook import ExactResumeHook
from .mean_teacher_hook import MeanTeacherHook
from .pseudo_label_hook import PseudoLabelHook
from .random_walk_hook import RandomWalkHook
from .reliability_hook import ReliabilityHook
from .semi_visualization_hook import SemiVisualizationHook
from .set_iter_hook import SetIterHook

__all__ = [
    'AffinityLabelHook',
    'AtomicCheckpointHook',
    'CamHook',
    'ExactResumeHook',
    'MeanTeacherHook',
    'PseudoLabelHook',
    'RandomWalkHook',
    'ReliabilityHook',
    'SemiVisualizationHook',
    'SetIterHook',
]
