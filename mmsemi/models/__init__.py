from . import losses, utils
from .data_preprocessors import MultiBranchDataPreprocessor
from .decode_heads import RepresentationHead, U2PLHead, build_contrastive_head
from .segmentors import U2PL, MeanTeacher, SemiBaseSegmentor

__all__ = [
    'U2PL',
    'MeanTeacher',
    'MultiBranchDataPreprocessor',
    'RepresentationHead',
    'SemiBaseSegmentor',
    'U2PLHead',
    'build_contrastive_head',
    'losses',
    'utils',
]
