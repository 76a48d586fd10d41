"""A crop of an image, its label maps and its boxes."""

import numpy as np
from mmseg.datasets.transforms import RandomCrop

from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCropWithBoxes(RandomCrop):
    """mmseg's ``RandomCrop``, which also moves the boxes of :class:`LoadBoxes`.

    The boxes keep the parts that leave the crop, so that their areas do not change;
    the last one, which is the image itself, is cut. A sample without boxes is cropped
    as by mmseg.

    Args:
        crop_size: Height and width of the crop, or one number for both; an image
            that is smaller stays as it is in that direction.
        cat_max_ratio: As in mmseg, the largest share of one class; below 1 only for
            images with masks. Defaults to 1.
        ignore_index: Void of the masks. Defaults to 255.
    """

    def transform(self, results: dict) -> dict:
        """Crop ``img``, the label maps and ``gt_bboxes``."""
        crop = self.crop_bbox(results)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = self.crop(results[key], crop)
        height, width = results['img'].shape[:2]
        results['img_shape'] = height, width
        if 'gt_bboxes' in results:
            top, _, left, _ = crop
            boxes = results['gt_bboxes'] - np.array([left, top, left, top])
            boxes[-1] = boxes[-1].clip(0, [width, height, width, height])
            results['gt_bboxes'] = boxes
        return results
