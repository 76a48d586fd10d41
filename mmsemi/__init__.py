"""mmsemi: train any MMSegmentation model from few pixel labels."""

from mmsemi._compat import check_openmmlab, register_configs

__version__ = '0.1.0'

check_openmmlab()
register_configs()
