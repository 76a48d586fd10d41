from .inferencer import SemiSegInferencer
from .semi_config import make_semi_config

__all__ = ['SemiSegInferencer', 'make_semi_config']
