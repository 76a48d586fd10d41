"""Boxes as per-pixel maps, and the labels of EM-Fixed."""

import torch
from torch import Tensor

from ._common import as_float, check_same_shape


def boxes_to_mask(
    boxes: Tensor, labels: Tensor, num_classes: int, size: tuple[int, int]
) -> Tensor:
    """Draw boxes into one binary map per class.

    Self-correcting networks (CVPR 2020), the ancillary model's second input. Maps 1…C
    are 1 inside of any box of the class: where boxes of several classes overlap,
    several maps are 1. Map 0 is 1 where there is no box at all, so also outside of
    the image if ``size`` is that of a padded one.

    A pixel is inside when its centre is: column j when x1 <= j + 0.5 < x2. Boxes may
    leave the map. No host sync; memory does not grow with boxes times pixels.

    Args:
        boxes: (n, 4), half-open ``(x1, y1, x2, y2)`` in pixels; n may be 0.
        labels: Class 1…C of each box (n,).
        num_classes: C.
        size: Height and width of the maps.

    Returns:
        (C + 1, H, W) of 0 and 1, float32.

    Raises:
        ValueError: The shapes do not fit.
    """
    _check_boxes(boxes, labels)
    rows, columns = _covered(boxes, size)
    classes = torch.arange(1, num_classes + 1, device=boxes.device)
    of_class = (labels == classes[:, None]).to(rows.dtype)
    # pixels are counted as products of rows and columns: exact below 2**24 boxes,
    # and a count that is rounded is still not 0
    count = (of_class[:, None] * rows.T) @ columns
    covered = (count > 0).float()
    return torch.cat([1 - (rows.T @ columns > 0).float()[None], covered])


def boxes_to_label(
    boxes: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    areas: Tensor | None = None,
) -> Tensor:
    """Draw boxes into one label map, small boxes over large ones.

    The Bbox-Rect labels of `Papandreou et al. <https://arxiv.org/abs/1502.02734>`_
    (ICCV 2015): a pixel has the class of the smallest box around it; of boxes of
    the same area, of the first.

    Args:
        boxes: (n, 4), half-open ``(x1, y1, x2, y2)`` in pixels; n may be 0.
        labels: Class 1…C of each box (n,).
        size: Height and width of the map.
        areas: Area of each box (n,), for boxes that were cut with the image: a crop
            then has the crop of the image's labels. By default that of ``boxes``.

    Returns:
        (H, W) long, 0 where there is no box.

    Raises:
        ValueError: The shapes do not fit.
    """
    _check_boxes(boxes, labels)
    if areas is None:
        areas = (as_float(boxes[:, 2:]) - as_float(boxes[:, :2])).prod(1)
    check_same_shape(labels.shape, areas=areas)
    # backwards and from large to small: the first of the smallest is drawn last
    order = areas.flip(0).argsort(descending=True, stable=True)
    boxes, labels = boxes.flip(0)[order], labels.flip(0)[order].long()
    rows, columns = (side.bool() for side in _covered(boxes, size))
    drawn = labels.new_zeros(size)
    for row, column, label in zip(rows, columns, labels, strict=True):
        drawn = torch.where(row[:, None] & column, label, drawn)
    return drawn


def em_fixed_label(
    scores: Tensor, rect_label: Tensor, bg_bias: float = 5.0, fg_bias: float = 6.0
) -> Tensor:
    """Estimate the labels of pixels from scores and boxes, as EM-Fixed does.

    `Papandreou et al. <https://arxiv.org/abs/1502.02734>`_ (ICCV 2015), the E-step
    with the constants of their released model: ``bg_bias`` is added to the
    background's score everywhere, ``fg_bias`` to that of the box's class inside of
    a box, and the largest score wins, any class may.

    Args:
        scores: Class scores (…, C + 1, H, W), background first.
        rect_label: (…, H, W) class of each pixel's box, as :func:`boxes_to_label`
            draws it; 0 outside of boxes, 255 leaves the scores as they are.
        bg_bias: Added to the background's score.
        fg_bias: Added to the score of the box's class.

    Returns:
        Classes (…, H, W) in [0, C], long, no gradient; of equal scores the first
        wins.

    Raises:
        ValueError: The shapes do not fit.
    """
    check_same_shape((*scores.shape[:-3], *scores.shape[-2:]), rect_label=rect_label)
    scores, rect = as_float(scores.detach()), rect_label[..., None, :, :]
    classes = torch.arange(scores.shape[-3], device=scores.device)[:, None, None]
    boosted = scores + fg_bias * ((rect == classes) & (classes > 0))
    return (boosted + bg_bias * ((rect != 255) & (classes == 0))).argmax(-3)


def _check_boxes(boxes: Tensor, labels: Tensor) -> None:
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f'boxes are {tuple(boxes.shape)}, but (n, 4) is needed: x1, y1, x2, y2 of '
            'each box, (0, 4) for none'
        )
    check_same_shape(boxes.shape[:1], labels=labels)


def _covered(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the rows (n, H) and columns (n, W) of each box, 0 or 1."""
    x1, y1, x2, y2 = as_float(boxes)[..., None].unbind(1)
    y, x = (
        torch.arange(side, device=boxes.device, dtype=x1.dtype) + 0.5 for side in size
    )
    return (
        ((y1 <= y) & (y < y2)).to(x1.dtype),
        ((x1 <= x) & (x < x2)).to(x1.dtype),
    )
