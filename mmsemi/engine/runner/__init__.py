from .cpu_wrappers import CPUAmpOptimWrapper, SemiDistributedDataParallel
from .multi_source_train_loop import MultiSourceTrainLoop
from .teacher_student_val_loop import TeacherStudentValLoop

__all__ = [
    'CPUAmpOptimWrapper',
    'MultiSourceTrainLoop',
    'SemiDistributedDataParallel',
    'TeacherStudentValLoop',
]
