"""Mix the images of a batch: CutMix and ClassMix masks, and their use."""

import warnings

import torch
from torch import Tensor

from mmsemi.checks import check_range

from ._common import draw_below, draw_uniform

NUM_LABELS = 256


def cutmix_mask(
    n: int,
    size: tuple[int, int],
    area: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw a rectangle of a given area in each image.

    CutMix (ICCV 2019) as U2PL (CVPR 2022) uses it: the width is uniform in
    (area * W, W), the height is the area over the width, rounded, the position is
    uniform. The same mask serves CutOut.

    Args:
        n: Number of images.
        size: Height H and width W.
        area: Share of the image inside the rectangle, in (0, 1].
        generator: Source of randomness.
        device: Device of the mask.

    Returns:
        Mask (n, 1, H, W), bool: True where an image keeps its own pixels, False
        inside the rectangle.

    Raises:
        ValueError: ``area`` is outside (0, 1].
    """
    check_range('(0, 1]', area=area)
    height, width = size
    narrowest = min(int(area * width) + 1, width)
    widths = torch.full((), max(width - narrowest, 1), device=device)
    box_w = narrowest + draw_below(widths, (n,), generator)
    box_h = (area * height * width / box_w).round().long().clamp(1, height)
    left = draw_below(width - box_w + 1, (n,), generator)
    top = draw_below(height - box_h + 1, (n,), generator)

    x = torch.arange(width, device=device)
    y = torch.arange(height, device=device)[:, None]
    left, top, box_w, box_h = (v.view(n, 1, 1, 1) for v in (left, top, box_w, box_h))
    inside_x = (x >= left) & (x < left + box_w)
    inside_y = (y >= top) & (y < top + box_h)
    return ~(inside_x & inside_y)


def classmix_mask(
    label: Tensor,
    generator: torch.Generator | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Select a random half of the classes in each image.

    ClassMix (WACV 2021). Of n classes in an image floor(n / 2) are kept. Void is not
    counted as a class and never kept; U2PL's released code treats it as one.

    Args:
        label: Labels or pseudo-labels (n, H, W) in [0, 255].
        generator: Source of randomness.
        ignore_index: Label of void.

    Returns:
        Mask (n, 1, H, W), bool: True where an image keeps its own pixels.

    Raises:
        ValueError: The labels are not (n, H, W).
    """
    if label.dim() != 3:
        raise ValueError(f'label must be (n, H, W), not {tuple(label.shape)}')
    void = NUM_LABELS
    index = label.long().masked_fill(label == ignore_index, void).flatten(1)
    present = torch.zeros(len(label), void + 1, dtype=torch.bool, device=label.device)
    present.scatter_(1, index, True)
    present[:, void] = False

    draw = draw_uniform(present.shape, label.device, generator)
    order = draw.masked_fill(~present, 2).argsort(1)
    half = present.sum(1, keepdim=True) // 2
    place = torch.arange(void + 1, device=label.device)
    chosen = torch.empty_like(present).scatter_(1, order, place < half)
    return chosen.gather(1, index).view(label.shape).unsqueeze(1)


def mix(x: Tensor, mask: Tensor) -> Tensor:
    """Paste each image's successor in the batch where its mask is False.

    Args:
        x: Images (B, C, H, W) or maps (B, H, W), of any dtype.
        mask: Mask (B, 1, H, W), bool.

    Returns:
        ``x[i]`` where the mask is True, ``x[(i + 1) % B]`` elsewhere. One image alone
        stays as it is, with a warning.

    Raises:
        ValueError: The mask does not fit ``x``.
    """
    if mask.shape != (len(x), 1, *x.shape[-2:]) or x.dim() not in (3, 4):
        raise ValueError(
            f'a mask of shape {tuple(mask.shape)} does not fit a batch of shape '
            f'{tuple(x.shape)}: it must be (B, 1, H, W)'
        )
    if len(x) == 1 and not mask.all():
        warnings.warn(
            'one image alone cannot be mixed and stays as it is: draw at least two '
            'unlabelled images in each process (num_per_source)',
            stacklevel=2,
        )
    if x.dim() == 3:
        mask = mask.squeeze(1)
    return torch.where(mask, x, x.roll(-1, 0))
