from .class_aware_cross_entropy import class_aware_cross_entropy
from .ohem_cross_entropy import BatchOhemCrossEntropy, ohem_cross_entropy
from .soft_cross_entropy import soft_cross_entropy

__all__ = [
    'BatchOhemCrossEntropy',
    'class_aware_cross_entropy',
    'ohem_cross_entropy',
    'soft_cross_entropy',
]
