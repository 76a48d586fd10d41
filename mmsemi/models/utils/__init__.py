from .contrast import (
    anchor_mask,
    class_prototypes,
    gather_pixels,
    info_nce,
    negative_mask,
    sample_anchors,
    select_keys,
)
from .memory_bank import ClassMemoryBank
from .mixing import classmix_mask, cutmix_mask, mix
from .pseudo_label import (
    drop_unreliable,
    entropy,
    reliability_score,
    reweighted_cross_entropy,
    weighted_fusion,
)

__all__ = [
    'ClassMemoryBank',
    'anchor_mask',
    'class_prototypes',
    'classmix_mask',
    'cutmix_mask',
    'drop_unreliable',
    'entropy',
    'gather_pixels',
    'info_nce',
    'mix',
    'negative_mask',
    'reliability_score',
    'reweighted_cross_entropy',
    'sample_anchors',
    'select_keys',
    'weighted_fusion',
]
