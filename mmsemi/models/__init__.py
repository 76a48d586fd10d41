from . import losses, utils
from .data_preprocessors import MultiBranchDataPreprocessor
from .decode_heads import (
    BoxConditionedHead,
    BranchAttention,
    BranchAttentionSepASPPHead,
    DeepLabV3PlusHead,
    RepresentationHead,
    U2PLHead,
    build_contrastive_head,
)
from .segmentors import (
    BST,
    LPL,
    U2PL,
    BoxConditionedSegmentor,
    MeanTeacher,
    SelfCorrect,
    SemiBaseSegmentor,
)

__all__ = [
    'BST',
    'LPL',
    'U2PL',
    'BoxConditionedHead',
    'BoxConditionedSegmentor',
    'BranchAttention',
    'BranchAttentionSepASPPHead',
    'DeepLabV3PlusHead',
    'MeanTeacher',
    'MultiBranchDataPreprocessor',
    'RepresentationHead',
    'SelfCorrect',
    'SemiBaseSegmentor',
    'U2PLHead',
    'build_contrastive_head',
    'losses',
    'utils',
]
