"""Boxes made of masks: one for each instance, or each connected component."""

import cv2
import numpy as np

from .box_files import Boxes, as_boxes


def boxes_of_components(
    mask: np.ndarray,
    num_classes: int,
    *,
    background: bool = True,
    min_area: int = 1,
    ignore_index: int = 255,
) -> Boxes:
    """Box each connected component of a mask, to simulate box annotations.

    Pixels that touch at a corner are connected. Touching objects of one class make
    one box, and what hides an object cuts it into several.

    Args:
        mask: (H, W) class of each pixel.
        num_classes: C, number of classes that have boxes.
        background: Whether the mask's class 0 is a background without boxes: then
            its class c has the label c, else c + 1.
        min_area: Fewer pixels make no box.
        ignore_index: Void, part of no box.

    Returns:
        Boxes (n, 4), half-open, and labels (n,) in 1…C, sorted by label.

    Raises:
        ValueError: The mask holds a class outside of its range.
    """
    boxes, labels = [], []
    for value in _classes(mask, num_classes, background, ignore_index):
        binary = (mask == value).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(binary, connectivity=8)[2]
        # the first one is the rest of the mask
        for x, y, width, height, area in stats[1:].tolist():
            if area >= min_area:
                boxes.append((x, y, x + width, y + height))
                labels.append(value + (not background))
    return as_boxes(boxes, labels, 'mask')


def boxes_of_instances(
    instances: np.ndarray,
    mask: np.ndarray,
    num_classes: int,
    *,
    background: bool = True,
    ignore_index: int = 255,
) -> Boxes:
    """Box each instance of a mask, as VOC's SegmentationObject has them.

    Args:
        instances: (H, W) number of each pixel's instance; 0 and void are none.
        mask: (H, W) class of each pixel; an instance has that of most of its pixels.
        num_classes: C, number of classes that have boxes.
        background: As for :func:`boxes_of_components`.
        ignore_index: Void of both maps.

    Returns:
        Boxes (n, 4), half-open, and labels (n,) in 1…C, sorted by instance.

    Raises:
        ValueError: The maps differ in size, the mask holds a class outside of its
            range, or an instance has no class.
    """
    if instances.shape != mask.shape:
        raise ValueError(
            f'the map of instances is {instances.shape} and the mask {mask.shape}: '
            'give those of the same image'
        )
    first = int(background)
    _classes(mask, num_classes, background, ignore_index)
    boxes, labels = [], []
    for number in sorted(set(np.unique(instances).tolist()) - {0, ignore_index}):
        rows, columns = np.nonzero(instances == number)
        classes = mask[rows, columns]
        classes = classes[(classes >= first) & (classes != ignore_index)]
        if len(classes) == 0:
            raise ValueError(
                f'no pixel of the instance {number} has a class in the mask: give '
                'the maps of the same image'
            )
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        labels.append(int(np.bincount(classes).argmax()) + (not background))
    return as_boxes(boxes, labels, 'map of instances')


def _classes(
    mask: np.ndarray, num_classes: int, background: bool, ignore_index: int
) -> list[int]:
    """Return the classes in a mask that have boxes; refuse others."""
    first = int(background)
    found = sorted(set(np.unique(mask).tolist()) - {ignore_index})
    if found and found[-1] >= num_classes + first:
        raise ValueError(
            f'the mask holds the class {found[-1]}, but {first} to '
            f'{num_classes + first - 1} have boxes: correct it, or classes'
        )
    return [value for value in found if value >= first]
