from .multi_branch import MultiBranch
from .noise_cutout import NoiseCutOut
from .pack_semi_inputs import PackSemiInputs
from .random_scale import RandomScale
from .strong_photometric import StrongPhotometric

__all__ = [
    'MultiBranch',
    'NoiseCutOut',
    'PackSemiInputs',
    'RandomScale',
    'StrongPhotometric',
]
