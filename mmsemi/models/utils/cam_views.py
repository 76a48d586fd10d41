"""Class activation maps over scales and flips, and refined by an affinity."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmseg.utils import SampleList
from torch import Tensor

from ._common import as_float
from .cam import refine_cam
from .tta import check_scales


def view_sizes(
    size: Sequence[int],
    scales: Sequence[float] = (1.0,),
    squares: Sequence[int] | None = None,
    divisor: int = 1,
) -> list[tuple[int, int]]:
    """Return height and width of each view of an image.

    Args:
        size: Height and width of the image.
        scales: Factors of them, as PSA: (1, 0.5, 1.5, 2).
        squares: Instead of them, sides of squares, as TransCAM: (256, 512, 768).
        divisor: Each side is rounded to a multiple of it, at least one.

    Raises:
        ValueError: A scale or side is not above 0.
    """
    if squares is None:
        check_scales(scales)
        sizes = [(round(size[0] * s), round(size[1] * s)) for s in scales]
    else:
        if not squares or min(squares) < 1:
            raise ValueError(f'squares={list(squares)}: give sides of at least 1 pixel')
        sizes = [(side, side) for side in squares]

    def near(length: int) -> int:
        return max(round(length / divisor), 1) * divisor

    return [(near(height), near(width)) for height, width in sizes]


def sum_views(
    maps_of: Callable[[Tensor], Tensor],
    images: Tensor,
    size: Sequence[int],
    views: Sequence[tuple[int, int]],
    flip: bool = True,
) -> Tensor:
    """Sum the activation maps of an image over its views.

    PSA, TransCAM: each view is the image resized (cubic), its maps are resized to one
    size (bilinear), flipped back, and summed. The released programs resize the 8-bit
    image; here it is normalised before, which differs by the rounding.

    Args:
        maps_of: From images (B, 3, ., .) to maps (B, C, ., .).
        images: (B, 3, H, W), normalised.
        size: Height h and width w of the result.
        views: Of :func:`view_sizes`.
        flip: Also the mirrored image of each view. Defaults to True.

    Returns:
        (B, C, h, w), float32.
    """
    total: Tensor | None = None
    height, width = size
    for view in views:
        resized = images
        if tuple(images.shape[-2:]) != view:
            resized = F.interpolate(
                images, view, mode='bicubic', align_corners=False, antialias=True
            )
        for mirrored in (False, True) if flip else (False,):
            maps = maps_of(resized.flip(-1) if mirrored else resized)
            maps = F.interpolate(
                as_float(maps), (height, width), mode='bilinear', align_corners=False
            )
            maps = maps.flip(-1) if mirrored else maps
            total = maps if total is None else total + maps
    assert total is not None
    return total


def refine_on_grid(cam: Tensor, affinity: Tensor, grid: tuple[int, int]) -> Tensor:
    """Spread activation maps along an affinity that may be coarser than they are.

    Args:
        cam: (B, C, h', w'), averaged over the cells of the grid.
        affinity: (B, N, N).
        grid: Height h and width w with h w = N.

    Returns:
        (B, C, h, w), float32, as :func:`mmsemi.models.utils.cam.refine_cam`.
    """
    return refine_cam(F.adaptive_avg_pool2d(as_float(cam), grid), affinity)


def valid_cells(
    data_samples: SampleList, size: Sequence[int], grid: tuple[int, int]
) -> Tensor:
    """Find the cells whose centre is in the image, not in its padding.

    Args:
        data_samples: B samples of a batch that mmseg's preprocessor has padded.
        size: Height and width of the padded images.
        grid: Height h and width w of the grid over them.

    Returns:
        (B, h, w) bool.
    """
    height, width = size
    rows = []
    for sample in data_samples:
        left, right, top, bottom = sample.metainfo.get('padding_size', (0, 0, 0, 0))
        y = (torch.arange(grid[0]) + 0.5) * height / grid[0]
        x = (torch.arange(grid[1]) + 0.5) * width / grid[1]
        inside_y = (y > top) & (y < height - bottom)
        inside_x = (x > left) & (x < width - right)
        rows.append(inside_y[:, None] & inside_x)
    return torch.stack(rows)
