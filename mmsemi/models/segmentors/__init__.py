from .affinity_net import AffinityNet
from .avc import AVC
from .box_conditioned import BoxConditionedSegmentor
from .bst import BST
from .cps import CPS
from .fixmatch import FixMatch
from .logit_tta import LogitTTAModel
from .lpl import LPL
from .mean_teacher import MeanTeacher
from .self_correct import SelfCorrect
from .semi_base import SemiBaseSegmentor
from .u2pl import U2PL
from .unimatch import UniMatch

__all__ = [
    'AVC',
    'BST',
    'CPS',
    'LPL',
    'U2PL',
    'AffinityNet',
    'BoxConditionedSegmentor',
    'FixMatch',
    'LogitTTAModel',
    'MeanTeacher',
    'SelfCorrect',
    'SemiBaseSegmentor',
    'UniMatch',
]
