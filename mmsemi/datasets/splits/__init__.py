"""Lists of images: read, checked, imported, generated."""

from .files import image_id, parse_split, read_pair, read_split
from .generate import SplitReport, check_split, generate_split

__all__ = [
    'SplitReport',
    'check_split',
    'generate_split',
    'image_id',
    'parse_split',
    'read_pair',
    'read_split',
]
