from .camvid import CamVidDataset
from .collate import branch_collate, check_collate
from .multi_source_dataset import MultiSourceDataset
from .samplers import MultiSourceSampler, check_batch_size
from .toy import ToyVOCDataset
from .transforms import (
    MultiBranch,
    NoiseCutOut,
    PackSemiInputs,
    RandomScale,
    StrongPhotometric,
)
from .unlabeled_dataset import UnlabeledDataset

__all__ = [
    'CamVidDataset',
    'MultiBranch',
    'MultiSourceDataset',
    'MultiSourceSampler',
    'NoiseCutOut',
    'PackSemiInputs',
    'RandomScale',
    'StrongPhotometric',
    'ToyVOCDataset',
    'UnlabeledDataset',
    'branch_collate',
    'check_batch_size',
    'check_collate',
]
