from .hooks import (
    AtomicCheckpointHook,
    ExactResumeHook,
    MeanTeacherHook,
    SemiVisualizationHook,
    SetIterHook,
)
from .runner import (
    CPUAmpOptimWrapper,
    SemiDistributedDataParallel,
    TeacherStudentValLoop,
)

__all__ = [
    'AtomicCheckpointHook',
    'CPUAmpOptimWrapper',
    'ExactResumeHook',
    'MeanTeacherHook',
    'SemiDistributedDataParallel',
    'SemiVisualizationHook',
    'SetIterHook',
    'TeacherStudentValLoop',
]
