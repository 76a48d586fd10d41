"""Resize relative to the image's own size."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsemi.checks import check_range
from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomScale(BaseTransform):
    """Resize by a random factor of the image's own size.

    mmcv's ``RandomResize`` scales relative to a fixed size; the
    semi-supervised field (U2PL, CPS and their followers) scales each image
    relative to itself. The factor is below 1 in half of the draws and above 1
    in the other half, uniform in each half, as in U2PL's released code.

    Args:
        min_factor: Smallest factor, in (0, 1]. Defaults to 0.5.
        max_factor: Largest factor, at least 1. Defaults to 2.
    """

    def __init__(self, min_factor: float = 0.5, max_factor: float = 2.0) -> None:
        check_range('(0, 1]', 'RandomScale', min_factor=min_factor)
        check_range('[1, inf)', 'RandomScale', max_factor=max_factor)
        self.min_factor = min_factor
        self.max_factor = max_factor

    def transform(self, results: dict) -> dict | None:
        """Resize ``img`` (bilinear) and the label maps (nearest)."""
        if np.random.random() < 0.5:
            factor = np.random.uniform(self.min_factor, 1)
        else:
            factor = np.random.uniform(1, self.max_factor)
        resize = TRANSFORMS.build(dict(type='Resize', scale_factor=float(factor)))
        return resize(results)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(min_factor={self.min_factor}, '
            f'max_factor={self.max_factor})'
        )
