from . import losses, utils
from .data_preprocessors import MultiBranchDataPreprocessor
from .decode_heads import (
    BranchAttention,
    BranchAttentionSepASPPHead,
    DeepLabV3PlusHead,
    RepresentationHead,
    U2PLHead,
    build_contrastive_head,
)
from .segmentors import BST, U2PL, MeanTeacher, SemiBaseSegmentor

__all__ = [
    'BST',
    'U2PL',
    'BranchAttention',
    'BranchAttentionSepASPPHead',
    'DeepLabV3PlusHead',
    'MeanTeacher',
    'MultiBranchDataPreprocessor',
    'RepresentationHead',
    'SemiBaseSegmentor',
    'U2PLHead',
    'build_contrastive_head',
    'losses',
    'utils',
]
