"""The end of every branch."""

import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmsemi.datasets.transforms.load_image_tags import pack_tags
from mmsemi.datasets.transforms.pack_boxes import pack_boxes, real_pixels
from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSemiInputs(PackSegInputs):
    """Pack an image with or without a label, and which pixels are real.

    Adds to mmseg's ``PackSegInputs`` the field ``valid``: (1, H, W) bool,
    True where the pixel belongs to the image. The data preprocessor continues
    it with False where it pads, so that padding of an unlabelled image is
    known without a label. With :class:`LoadBoxes` in the pipeline, also the
    field ``gt_instances`` with ``bboxes`` (n, 4), half-open xyxy, ``labels`` (n,),
    1…C, and ``areas`` (n,), and the classes' names as ``metainfo['box_classes']``;
    ``valid`` is then also False where the pipeline padded.
    With :class:`LoadImageTags`, the field ``gt_tags`` with ``item`` (C,) bool.
    """

    def transform(self, results: dict) -> dict:
        """Return ``{'inputs': (3, H, W), 'data_samples': SegDataSample}``."""
        packed = super().transform(results)
        valid = torch.ones((1, *packed['inputs'].shape[-2:]), dtype=torch.bool)
        if 'gt_bboxes' in results:
            valid = real_pixels(results)
            packed['data_samples'].gt_instances = pack_boxes(results)
            packed['data_samples'].set_metainfo(
                dict(box_classes=results['box_classes'])
            )
        packed['data_samples'].valid = PixelData(data=valid)
        if 'gt_tags' in results:
            packed['data_samples'].gt_tags = pack_tags(results)
        return packed
