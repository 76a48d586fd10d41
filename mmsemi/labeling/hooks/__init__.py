from .affinity_label_hook import AffinityLabelHook
from .cam_hook import CamHook
from .labeling_hook import LabelingHook
from .pseudo_label_hook import PseudoLabelHook
from .random_walk_hook import RandomWalkHook
from .reliability_hook import ReliabilityHook

__all__ = [
    'AffinityLabelHook',
    'CamHook',
    'LabelingHook',
    'PseudoLabelHook',
    'RandomWalkHook',
    'ReliabilityHook',
]
