from .box_conditioned import BoxConditionedSegmentor
from .bst import BST
from .lpl import LPL
from .mean_teacher import MeanTeacher
from .self_correct import SelfCorrect
from .semi_base import SemiBaseSegmentor
from .u2pl import U2PL

__all__ = [
    'BST',
    'LPL',
    'U2PL',
    'BoxConditionedSegmentor',
    'MeanTeacher',
    'SelfCorrect',
    'SemiBaseSegmentor',
]
