"""The end of every branch."""

import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSemiInputs(PackSegInputs):
    """Pack an image with or without a label, and which pixels are real.

    Adds to mmseg's ``PackSegInputs`` the field ``valid``: (1, H, W) bool,
    True where the pixel belongs to the image. The data preprocessor continues
    it with False where it pads, so that padding of an unlabelled image is
    known without a label.
    """

    def transform(self, results: dict) -> dict:
        """Return ``{'inputs': (3, H, W), 'data_samples': SegDataSample}``."""
        packed = super().transform(results)
        valid = torch.ones((1, *packed['inputs'].shape[-2:]), dtype=torch.bool)
        packed['data_samples'].valid = PixelData(data=valid)
        return packed
