from .hooks import (
    AtomicCheckpointHook,
    ExactResumeHook,
    MeanTeacherHook,
    PseudoLabelHook,
    ReliabilityHook,
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
    'PseudoLabelHook',
    'ReliabilityHook',
    'SemiDistributedDataParallel',
    'SemiVisualizationHook',
    'SetIterHook',
    'TeacherStudentValLoop',
]
