from .ohem_cross_entropy import BatchOhemCrossEntropy, ohem_cross_entropy
from .soft_cross_entropy import soft_cross_entropy

__all__ = ['BatchOhemCrossEntropy', 'ohem_cross_entropy', 'soft_cross_entropy']
