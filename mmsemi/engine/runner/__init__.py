from .cpu_wrappers import CPUAmpOptimWrapper, SemiDistributedDataParallel
from .teacher_student_val_loop import TeacherStudentValLoop

__all__ = [
    'CPUAmpOptimWrapper',
    'SemiDistributedDataParallel',
    'TeacherStudentValLoop',
]
