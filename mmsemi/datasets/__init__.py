from .camvid import CamVidDataset
from .coco_object import COCOObjectDataset
from .collate import branch_collate, check_collate
from .multi_source_dataset import MultiSourceDataset
from .samplers import MultiSourceSampler, check_batch_size
from .toyvoc.data_set import ToyVOCDataset
from .transforms import (
    LoadBoxes,
    LoadImageTags,
    MultiBranch,
    NoiseCutOut,
    PackSemiInputs,
    RandomCropWithBoxes,
    RandomScale,
    StrongAugment,
    StrongPhotometric,
)
from .unlabeled_dataset import UnlabeledDataset

__all__ = [
    'COCOObjectDataset',
    'CamVidDataset',
    'LoadBoxes',
    'LoadImageTags',
    'MultiBranch',
    'MultiSourceDataset',
    'MultiSourceSampler',
    'NoiseCutOut',
    'PackSemiInputs',
    'RandomCropWithBoxes',
    'RandomScale',
    'StrongAugment',
    'StrongPhotometric',
    'ToyVOCDataset',
    'UnlabeledDataset',
    'branch_collate',
    'check_batch_size',
    'check_collate',
]
