from .hooks import (
    AtomicCheckpointHook,
    ExactResumeHook,
    MeanTeacherHook,
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
    'AtomicCheckpointHook',
    'CPUAmpOptimWrapper',
    'ExactResumeHook',
    'MeanTeacherHook',
    'MultiSourceTrainLoop',
    'PerNetworkConstructor',
    'SemiDistributedDataParallel',
    'SemiVisualizationHook',
    'SetIterHook',
    'TeacherStudentValLoop',
]
