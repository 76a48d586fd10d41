from .inferencer import SemiSegInferencer

__all__ = ['SemiSegInferencer']
