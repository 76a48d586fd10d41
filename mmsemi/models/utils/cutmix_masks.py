"""The CutMix masks of FixMatch, UniMatch and CPS, each as its released code's."""

import torch
from torch import Tensor

from mmsemi.checks import check_range

from ._common import draw_uniform

MAX_DRAWS = 256
"""Even a box of 0.4 of the area fits in one of 17 draws."""


def random_box_mask(
    n: int,
    size: tuple[int, int],
    *,
    prob: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: float = 0.3,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw a rectangle of random area and shape in some of the images.

    CutMix as UniMatch (CVPR 2023) uses it, and FixMatch in its code: with
    probability ``prob`` an image has a box. Its area is uniform in ``area``; its
    height over width uniform in [``ratio``, 1 / ``ratio``] and its upper left corner
    uniform in the image, both drawn anew until the box fits.

    Args:
        n: Number of images.
        size: Height H and width W.
        prob: Probability of a box, in [0, 1].
        area: Least and greatest share of the image inside the box, in (0, 1).
        ratio: Least ratio of height and width, in (0, 1].
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        Mask (n, 1, H, W), bool: True where an image keeps its own pixels, False
        inside the box.

    Raises:
        ValueError: A value is outside its range.
    """
    check_range('[0, 1]', prob=prob)
    check_range('(0, 1)', area=area)
    check_range('(0, 1]', ratio=ratio)
    height, width = size
    place = torch.device('cpu' if device is None else device)
    share, chance = draw_uniform((2, n, 1), place, generator)
    shape, row, column = draw_uniform((3, n, MAX_DRAWS), place, generator)
    pixels = (area[0] + (area[1] - area[0]) * share) * height * width
    shape = ratio + (1 / ratio - ratio) * shape
    box_h, box_w = (pixels * shape).sqrt().long(), (pixels / shape).sqrt().long()
    top, left = (row * height).long(), (column * width).long()

    fits = (top + box_h <= height) & (left + box_w <= width)
    # the first of equal ones is not promised by argmax on every device
    order = torch.arange(MAX_DRAWS, 0, -1, device=place)
    first = (fits * order).argmax(1, keepdim=True)
    box = torch.stack([top, left, top + box_h, left + box_w])
    box = box.gather(2, first.expand(4, n, 1))
    has_box = (chance < prob) & fits.gather(1, first)
    return ~(_inside(box, size) & has_box[..., None, None])


def several_boxes_mask(
    n: int,
    size: tuple[int, int],
    *,
    boxes: int = 3,
    area: tuple[float, float] = (0.25, 0.5),
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw some rectangles in each image; where two overlap is outside again.

    CutMix of French et al. (BMVC 2020) as CPS (CVPR 2021) uses it. Each box has an
    area uniform in ``area``, over the number of boxes; the logarithm of its relative
    height is uniform between that of the area and 0, before that division; its
    position is uniform. All are rounded to whole pixels.

    Args:
        n: Number of images.
        size: Height H and width W.
        boxes: Number of boxes.
        area: Least and greatest share of the image in all boxes, in (0, 1].
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        Mask (n, 1, H, W), bool: True where an image keeps its own pixels, False
        inside the boxes.

    Raises:
        ValueError: A value is outside its range.
    """
    check_range('[1, inf)', boxes=boxes)
    check_range('(0, 1]', area=area)
    height, width = size
    place = torch.device('cpu' if device is None else device)
    draws = draw_uniform((4, n, boxes), place, generator)
    share = area[0] + (area[1] - area[0]) * draws[0]
    relative_h = share ** draws[1]
    shrink = boxes**-0.5
    box_h = (relative_h * shrink * height).round()
    box_w = (share / relative_h * shrink * width).round()
    top = ((height - box_h) * draws[2]).round()
    left = ((width - box_w) * draws[3]).round()
    box = torch.stack([top, left, top + box_h, left + box_w])
    return _inside(box, size).sum(1, keepdim=True).remainder(2) == 0


def _inside(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Paint boxes (4, n, k), top, left, bottom, right: (n, k, H, W) bool."""
    top, left, bottom, right = box[..., None, None]
    y = torch.arange(size[0], device=box.device)[:, None]
    x = torch.arange(size[1], device=box.device)
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)
