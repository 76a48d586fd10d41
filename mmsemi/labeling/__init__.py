from .hooks import (
    AffinityLabelHook,
    CamHook,
    LabelingHook,
    PseudoLabelHook,
    RandomWalkHook,
    ReliabilityHook,
)

__all__ = [
    'AffinityLabelHook',
    'CamHook',
    'LabelingHook',
    'PseudoLabelHook',
    'RandomWalkHook',
    'ReliabilityHook',
]
