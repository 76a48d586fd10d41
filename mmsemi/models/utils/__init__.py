from .affinity import affinity_matrix, affinity_pairs, random_walk
from .boxes import boxes_to_label, boxes_to_mask, em_fixed_label
from .cam import add_background, cam_to_label, normalize_cam, refine_cam
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
from .running_iou import RunningClassIoU, image_reliability
from .self_correction import (
    ConvSelfCorrection,
    exponential_alpha,
    linear_self_correction,
)

__all__ = [
    'ClassMemoryBank',
    'ConvSelfCorrection',
    'RunningClassIoU',
    'add_background',
    'affinity_matrix',
    'affinity_pairs',
    'anchor_mask',
    'boxes_to_label',
    'boxes_to_mask',
    'cam_to_label',
    'class_prototypes',
    'classmix_mask',
    'cutmix_mask',
    'drop_unreliable',
    'em_fixed_label',
    'entropy',
    'exponential_alpha',
    'gather_pixels',
    'image_reliability',
    'info_nce',
    'linear_self_correction',
    'mix',
    'negative_mask',
    'normalize_cam',
    'random_walk',
    'refine_cam',
    'reliability_score',
    'reweighted_cross_entropy',
    'sample_anchors',
    'select_keys',
    'weighted_fusion',
]
