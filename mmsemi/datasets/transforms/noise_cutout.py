"""The cut-out of ST++'s strong view."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmsemi.checks import check_range
from mmsemi.registry import TRANSFORMS

MAX_DRAWS = 100


@TRANSFORMS.register_module()
class NoiseCutOut(BaseTransform):
    """Replace a box by noise, and its labels by void, as in ST++ and BST.

    The box's area is a uniform share A of the image's, its height sqrt(A * r) and its
    width sqrt(A / r) in whole pixels, its corner uniform; a box that does not fit is
    drawn again, which favours small boxes, as in the released code. The noise is
    uniform in 0…254 for each pixel and channel. In ST++ it is the last step of the
    view of pseudo-labelled images, after :class:`StrongPhotometric`.

    An image so thin that none of 100 boxes fits stays as it is.

    Args:
        prob: Probability of a box. Defaults to 0.5.
        area: Range of its share of the image's area. Defaults to (0.02, 0.4).
        ratio: Range of r, height by width. Defaults to (0.3, 1 / 0.3).
        ignore_index: Label inside of the box. Defaults to 255.

    Raises:
        ValueError: If a value is outside its range.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
        ignore_index: int = 255,
    ) -> None:
        check_range('[0, 1]', 'NoiseCutOut', prob=prob)
        check_range('(0, 1]', 'NoiseCutOut', area=area)
        check_range('(0, inf)', 'NoiseCutOut', ratio=ratio)
        self.prob = prob
        self.area = area
        self.ratio = ratio
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Change ``img``, (H, W, C) uint8, and the label maps.

        Raises:
            ValueError: If the image is anything else.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                f'NoiseCutOut needs an image of (H, W, C) uint8, got {image.shape} '
                f'{image.dtype} from {results.get("img_path")}: load it with '
                "dict(type='LoadImageFromFile'), without to_float32"
            )
        if np.random.random() >= self.prob:
            return results
        box = self._draw_box(*image.shape[:2])
        if box is None:
            return results
        # other views may hold the same arrays
        results['img'] = image.copy()
        inside = results['img'][box]
        inside[...] = np.random.randint(0, 255, inside.shape, dtype=np.uint8)
        for key in results.get('seg_fields', []):
            results[key] = results[key].copy()
            results[key][box] = self.ignore_index
        return results

    def _draw_box(self, height: int, width: int) -> tuple[slice, slice] | None:
        """Return the rows and columns of a box that fits."""
        for _ in range(MAX_DRAWS):
            area = np.random.uniform(*self.area) * height * width
            ratio = np.random.uniform(*self.ratio)
            h, w = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
            x, y = np.random.randint(0, width), np.random.randint(0, height)
            if y + h <= height and x + w <= width:
                return slice(y, y + h), slice(x, x + w)
        return None
