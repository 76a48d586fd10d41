from .bst import BST
from .mean_teacher import MeanTeacher
from .semi_base import SemiBaseSegmentor
from .u2pl import U2PL

__all__ = ['BST', 'U2PL', 'MeanTeacher', 'SemiBaseSegmentor']
