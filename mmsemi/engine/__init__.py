from .hooks import (
    AtomicCheckpointHook,
    ExactResumeHook,
    MeanTeacherHook,
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
    'SetIterHook',
    'TeacherStudentValLoop',
]
