"""Class probabilities of a network, averaged over scales and flips."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmsemi.checks import check_choice

from .tags import restrict_probabilities, restrict_to_tags

FUSIONS = ('softmax', 'logits')
"""What is averaged over the views."""


def check_scales(scales: Sequence[float]) -> None:
    """Refuse an empty list of scales, and scales that are not above 0."""
    if not scales or not all(scale > 0 for scale in scales):
        raise ValueError(
            f'scales={list(scales)}: give at least one number above 0, e.g. (1.0,)'
        )


def check_fuse(fuse: str) -> None:
    """Refuse what is none of ``FUSIONS``."""
    check_choice(fuse=(fuse, list(FUSIONS)))


def tta_probabilities(
    network: nn.Module,
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    size: Sequence[int] | None = None,
    size_divisor: int = 1,
    fuse: str = 'softmax',
    tags: Tensor | None = None,
) -> Tensor:
    """Average the class probabilities of a network over scales and flips.

    ST++ (CVPR 2022) labels with the scales 0.5, 0.75, 1, 1.5 and 2, each with and
    without a horizontal flip: the images are resized to ``int(h * s), int(w * s)``,
    the softmax at that size is flipped back, resized to ``size`` and summed. Here
    the sum is divided by the number of views, so that it holds probabilities. LPL
    (Pattern Recognition 2022) labels with the scales 0.5, 0.75, 1, 1.25 and 1.5, takes
    the mean of the scores (``fuse='logits'``), and lets an image have the classes only
    that it is tagged with.

    Args:
        network: A segmentor of mmseg in eval mode, predicting whole or slide as its
            ``test_cfg`` says; or any module from images to logits (B, C, ., .),
            which are resized to the images.
        images: Normalised images (B, 3, H, W).
        scales: Factors of the height and width.
        flip: Add the horizontally flipped view at each scale.
        size: Height and width of the result. By default those of the images.
        size_divisor: Each view is padded right and below with 0 to a multiple of
            it, and its logits are cropped again.
        fuse: ``'softmax'`` averages the probabilities of the views, ``'logits'`` the
            scores, followed by one softmax.
        tags: Classes that each image has (B, C), bool: the others get the probability
            0, and those of the image sum to 1. An image without any is not restricted.

    Returns:
        Probabilities (B, C, h, w), float32.

    Raises:
        ValueError: A scale is not above 0, ``fuse`` is unknown, the tags do not fit,
            or the network has one output channel.
    """
    check_scales(scales)
    check_fuse(fuse)
    height, width = images.shape[-2:]
    size = (height, width) if size is None else (int(size[0]), int(size[1]))
    align_corners = bool(getattr(network, 'align_corners', False))
    total: Tensor | None = None
    for scale in scales:
        scaled = max(int(height * scale), 1), max(int(width * scale), 1)
        view = _resize(images, scaled, align_corners)
        for flipped in (False, True) if flip else (False,):
            logits = _padded_logits(
                network, view.flip(-1) if flipped else view, size_divisor
            )
            seen = logits.float()
            # a copy: the sum must not be written into what the network returned
            seen = seen.softmax(1) if fuse == 'softmax' else seen.clone()
            seen = _resize(seen.flip(-1) if flipped else seen, size, align_corners)
            # one sum at the final size: the views need not be held together
            total = seen if total is None else total.add_(seen)
    assert total is not None
    number = len(scales) * (2 if flip else 1)
    total = total if number == 1 else total.div_(number)
    if fuse == 'logits':
        return (total if tags is None else restrict_to_tags(total, tags)).softmax(1)
    return total if tags is None else restrict_probabilities(total, tags)


def _resize(maps: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size, mode='bilinear', align_corners=align_corners)


def _padded_logits(network: nn.Module, images: Tensor, divisor: int) -> Tensor:
    """Return the logits (B, C, H, W) of images (B, 3, H, W)."""
    height, width = images.shape[-2:]
    missing = (0, -width % divisor, 0, -height % divisor)
    # padding by nothing would copy
    logits = _logits(network, F.pad(images, missing) if any(missing) else images)
    if logits.shape[1] == 1:
        raise ValueError(
            'the network has one output channel, but labels come from a softmax over '
            'the classes: set out_channels=num_classes (2 for foreground and '
            'background) and use_sigmoid=False'
        )
    return logits[..., :height, :width]


def _logits(network: Any, images: Tensor) -> Tensor:
    """Return the logits of a network at the size of the images."""
    shape = images.shape[-2], images.shape[-1]
    if hasattr(network, 'inference'):
        # new ones for each call: sliding windows write their size into them
        metas = [
            dict(ori_shape=shape, img_shape=shape, pad_shape=shape) for _ in images
        ]
        return network.inference(images, metas)
    return _resize(network(images), shape, getattr(network, 'align_corners', False))
