"""ToyVOC, the data set that is generated on the spot."""

from .data_set import ToyVOCDataset, generate_toyvoc, write_toyvoc_split

__all__ = ['ToyVOCDataset', 'generate_toyvoc', 'write_toyvoc_split']
