from .load_boxes import LoadBoxes
from .load_image_tags import LoadImageTags
from .multi_branch import MultiBranch
from .noise_cutout import NoiseCutOut
from .pack_semi_inputs import PackSemiInputs
from .random_crop_with_boxes import RandomCropWithBoxes
from .random_scale import RandomScale
from .strong_augment import StrongAugment
from .strong_photometric import StrongPhotometric

__all__ = [
    'LoadBoxes',
    'LoadImageTags',
    'MultiBranch',
    'NoiseCutOut',
    'PackSemiInputs',
    'RandomCropWithBoxes',
    'RandomScale',
    'StrongAugment',
    'StrongPhotometric',
]
