from .affinity_head import AffinityHead
from .box_conditioned_head import BoxConditionedHead
from .branch_attention_head import BranchAttention, BranchAttentionSepASPPHead
from .cam_head import CamHead, ConformerCamHead
from .contrastive_head import RepresentationHead, build_contrastive_head
from .deeplabv2_head import DeepLabV2Head
from .deeplabv3plus_head import DeepLabV3PlusHead
from .large_fov_head import LargeFOVHead
from .u2pl_head import U2PLHead

__all__ = [
    'AffinityHead',
    'BoxConditionedHead',
    'BranchAttention',
    'BranchAttentionSepASPPHead',
    'CamHead',
    'ConformerCamHead',
    'DeepLabV2Head',
    'DeepLabV3PlusHead',
    'LargeFOVHead',
    'RepresentationHead',
    'U2PLHead',
    'build_contrastive_head',
]
