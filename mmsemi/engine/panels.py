"""Pictures for people: label maps in colour, dropped pixels, entropy, rows of them."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

VOID_COLOUR = (214, 214, 214)
GAP = 4


def colour_labels(
    label: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int = 255
) -> np.ndarray:
    """Paint a label map.

    Args:
        label: (H, W) class indices.
        palette: RGB colour of each class.
        ignore_index: Painted light grey.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    table = np.full((256, 3), VOID_COLOUR, dtype=np.uint8)
    table[: len(palette)] = np.asarray(palette, dtype=np.uint8)
    table[ignore_index] = VOID_COLOUR
    return table[label]


def hatch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cover the pixels of a mask with thin grey lines on white.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.
    """
    rows, columns = np.indices(mask.shape)
    line = (rows + columns) % 6 == 0
    covered = np.where(line[..., None], np.uint8(150), np.uint8(255))
    return np.where(mask[..., None], covered, image)


def entropy_image(entropy: np.ndarray, num_classes: int) -> np.ndarray:
    """Paint an entropy map, black at 0 to yellow at the most, log C.

    Args:
        entropy: (H, W) in nats.
        num_classes: C.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    share = np.clip(entropy / math.log(max(num_classes, 2)), 0, 1)
    painted = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return painted[..., ::-1]


def row(pictures: Sequence[np.ndarray], size: int = 128) -> np.ndarray:
    """Put pictures side by side, each scaled into a square.

    Args:
        pictures: (H, W, 3) uint8, of any sizes.
        size: Side of a square in pixels.

    Returns:
        (size, n * size + (n - 1) * 4, 3) uint8 on white.
    """
    width = len(pictures) * (size + GAP) - GAP
    canvas = np.full((size, width, 3), 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        height, breadth = picture.shape[:2]
        scale = size / max(height, breadth)
        h, w = max(1, round(height * scale)), max(1, round(breadth * scale))
        # nearest, or colours would appear that are no class
        scaled = cv2.resize(picture, (w, h), interpolation=cv2.INTER_NEAREST)
        top, left = (size - h) // 2, i * (size + GAP) + (size - w) // 2
        canvas[top : top + h, left : left + w] = scaled
    return canvas


def encode_png(image: np.ndarray) -> bytes:
    """Encode an (H, W, 3) uint8 RGB image as PNG."""
    return cv2.imencode('.png', image[..., ::-1])[1].tobytes()
