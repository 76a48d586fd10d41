from .box_conditioned_head import BoxConditionedHead
from .branch_attention_head import BranchAttention, BranchAttentionSepASPPHead
from .contrastive_head import RepresentationHead, build_contrastive_head
from .deeplabv2_head import DeepLabV2Head
from .deeplabv3plus_head import DeepLabV3PlusHead
from .u2pl_head import U2PLHead

__all__ = [
    'BoxConditionedHead',
    'BranchAttention',
    'BranchAttentionSepASPPHead',
    'DeepLabV2Head',
    'DeepLabV3PlusHead',
    'RepresentationHead',
    'U2PLHead',
    'build_contrastive_head',
]
