"""Masks and boxes of ToyVOC, from the topmost thing of each pixel."""

from dataclasses import dataclass

import numpy as np

VOID = 255
# fewer pixels, or a smaller share of the whole object, cannot be recognised
MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE = 20, 0.2


@dataclass(frozen=True)
class ToyObject:
    """One visible object.

    Attributes:
        label: Class 1...C.
        box: Extent of its pixels in ``instances``, half-open ``(x1, y1, x2, y2)``.
        truncated: Whether the picture's edge or another object hides part of it.
    """

    label: int
    box: tuple[int, int, int, int]
    truncated: bool


@dataclass(frozen=True)
class ToyImage:
    """A picture with all of its annotations.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, class of each pixel, 255 void.
        instances: (H, W) uint8, 1...N for ``objects``, 0 background, 255 void.
        objects: The N objects, back to front.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    objects: tuple[ToyObject, ...]


def outline(depth: np.ndarray, is_object: np.ndarray) -> np.ndarray:
    """Find the pixels that touch something in front of them, (H, W) bool.

    Args:
        depth: (H, W) number of the topmost thing, larger is nearer.
        is_object: (number of things,) bool; edges between two others do not count.
    """
    padded = np.pad(depth, 1, mode='edge')
    edge = np.zeros(depth.shape, dtype=bool)
    for near in (
        padded[:-2, 1:-1],
        padded[2:, 1:-1],
        padded[1:-1, :-2],
        padded[1:-1, 2:],
    ):
        edge |= (near > depth) & (is_object[near] | is_object[depth])
    return edge


def annotate(
    depth: np.ndarray, labels: list[int], areas: list[int]
) -> tuple[np.ndarray, np.ndarray, tuple[ToyObject, ...]]:
    """Turn the topmost thing of each pixel into masks and boxes.

    Args:
        depth: (H, W) number of the topmost thing, 0 the background.
        labels: Class of each thing, 0 for a decoy; the background is the first.
        areas: Pixels of each thing if nothing hid it inside the picture.

    Returns:
        ``mask``, ``instances`` and ``objects`` of :class:`ToyImage`.
    """
    mask = np.array(labels, dtype=np.uint8)[depth]
    instances = np.zeros_like(mask)
    void = outline(depth, np.array(labels) > 0)
    objects = []
    for thing in np.flatnonzero(labels):
        visible = (depth == thing) & ~void
        if visible.sum() < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * areas[thing]):
            void |= depth == thing
            continue
        rows, columns = np.nonzero(visible)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        height, width = depth.shape
        cut = box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
        hidden = (depth == thing).sum() < 0.95 * areas[thing]
        x1, y1, x2, y2 = (int(side) for side in box)
        objects.append(ToyObject(labels[thing], (x1, y1, x2, y2), bool(cut or hidden)))
        instances[visible] = len(objects)
    mask[void], instances[void] = VOID, VOID
    return mask, instances, tuple(objects)
