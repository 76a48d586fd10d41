from .hooks import (
    AffinityLabelHook,
    AtomicCheckpointHook,
    CamHook,
    ExactResumeHook,
    MeanTeacherHook,
    PseudoLabelHook,
    RandomWalkHook,
    ReliabilityHook,
    SemiVisualizationHook,
    SetIterHook,
)
from .per_network_constructor import PerNetworkConstructor
from .runner import (
    CPUAmpOptimWrapper,
    MultiSourceTrainLoop,
    SemiDistributedDataParallel,
    TeacherStudentValLoop,
)

__all__ = [
    'AffinityLabelHook',
    'AtomicCheckpointHook',
    'CPUAmpOptimWrapper',
    'CamHook',
    'ExactResumeHook',
    'MeanTeacherHook',
    'MultiSourceTrainLoop',
    'PerNetworkConstructor',
    'PseudoLabelHook',
    'RandomWalkHook',
    'ReliabilityHook',
    'SemiDistributedDataParallel',
    'SemiVisualizationHook',
    'SetIterHook',
    'TeacherStudentValLoop',
]
