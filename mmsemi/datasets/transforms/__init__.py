from .multi_branch import MultiBranch
from .pack_semi_inputs import PackSemiInputs
from .random_scale import RandomScale
from .strong_photometric import StrongPhotometric

__all__ = ['MultiBranch', 'PackSemiInputs', 'RandomScale', 'StrongPhotometric']
