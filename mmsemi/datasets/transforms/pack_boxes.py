"""What a data sample knows of the boxes that :class:`LoadBoxes` loaded."""

import numpy as np
import torch
from mmengine.structures import InstanceData


def pack_boxes(results: dict) -> InstanceData:
    """Return the visible boxes of an image, for a data sample.

    Args:
        results: Of a pipeline with :class:`LoadBoxes`.

    Returns:
        ``bboxes`` (n, 4) float32, half-open xyxy, cut at the image's edge, ``labels``
        (n,) long, and ``areas`` (n,) float32 of the whole boxes.

    Raises:
        ValueError: The image was cropped without its boxes.
    """
    boxes, labels = results['gt_bboxes'][:-1], results['gt_bboxes_labels'][:-1]
    frame, (height, width) = results['gt_bboxes'][-1], results['img'].shape[:2]
    # half a pixel: sizes are rounded
    if (frame[2:] > (width + 0.5, height + 0.5)).any() or (frame[:2] < -0.5).any():
        raise ValueError(
            f'the boxes of {results.get("img_path")} are those of an image of '
            f'{frame[2]:g} x {frame[3]:g}, which now is {width} x {height}: a '
            'transform did not move them, take RandomCropWithBoxes, not RandomCrop'
        )
    # not beyond the image, where a later padding may be
    inside = boxes.clip(np.tile(frame[:2], 2), np.tile(frame[2:], 2))
    seen = (inside[:, :2] < inside[:, 2:]).all(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return InstanceData(
        bboxes=torch.from_numpy(inside[seen]).float(),
        labels=torch.from_numpy(labels[seen]).long(),
        areas=torch.from_numpy(areas[seen]).float(),
    )


def real_pixels(results: dict) -> torch.Tensor:
    """Return which pixels are no padding of the pipeline's.

    Args:
        results: Of a pipeline with :class:`LoadBoxes`.

    Returns:
        (1, H, W) bool.
    """
    real = torch.zeros((1, *results['img'].shape[:2]), dtype=torch.bool)
    left, top, right, bottom = results['gt_bboxes'][-1].round().astype(int)
    real[:, top:bottom, left:right] = True
    return real
