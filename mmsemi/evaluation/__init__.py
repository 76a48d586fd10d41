from .tag_average_precision import TagAveragePrecision, average_precision

__all__ = ['TagAveragePrecision', 'average_precision']
