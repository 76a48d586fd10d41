from .affinity_loss import affinity_loss, label_from_scores, sure_label
from .affinity_vector_consistency import affinity_vector_consistency
from .class_aware_cross_entropy import class_aware_cross_entropy
from .ohem_cross_entropy import BatchOhemCrossEntropy, ohem_cross_entropy
from .soft_cross_entropy import soft_cross_entropy

__all__ = [
    'BatchOhemCrossEntropy',
    'affinity_loss',
    'affinity_vector_consistency',
    'class_aware_cross_entropy',
    'label_from_scores',
    'ohem_cross_entropy',
    'soft_cross_entropy',
    'sure_label',
]
