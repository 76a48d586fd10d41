"""Class activation maps: scaled, with a background, and as labels."""

import torch
from torch import Tensor

from mmsemi.checks import check_choice, check_range

from ._common import as_float, check_same_shape, full_precision

MODES = ('max', 'seam', 'minmax', 'irn')
EPS = 1e-5


def normalize_cam(cam: Tensor, mode: str) -> Tensor:
    r"""Scale each class's activation map to about [0, 1].

    With the least and largest value m and M of a map s:

    * ``'max'`` (PSA) and ``'irn'`` (IRN, which applies it at its own stride):
      :math:`s / (M + 10^{-5})`. Both take activations after a ReLU; negative values
      stay negative, and a map without a positive value becomes 0.
    * ``'seam'`` (SEAM, TransCAM): negative values are 0 first; then those below
      :math:`m + 10^{-5}` are 0, then
      :math:`(s - m - 10^{-5}) / (M - m + 10^{-5})`. The result is a little below 0
      where there is nothing, and -1 on a map of zeros.
    * ``'minmax'`` (ToCo): :math:`(s - m) / (M - m + 10^{-5})`.

    Args:
        cam: Activation maps (…, K, H, W).
        mode: One of ``'max'``, ``'seam'``, ``'minmax'`` and ``'irn'``.

    Returns:
        (…, K, H, W) float32.

    Raises:
        ValueError: The mode is unknown, or ``cam`` is not (…, K, H, W).
    """
    check_choice(mode=(mode, MODES))
    if cam.dim() < 3:
        raise ValueError(f'cam must be (…, K, H, W), not {tuple(cam.shape)}')
    cam = as_float(cam)
    if mode == 'seam':
        cam = cam.clamp_min(0)
    most = cam.amax((-2, -1), keepdim=True)
    if mode in ('max', 'irn'):
        return torch.where(most > 0, cam / (most.clamp_min(0) + EPS), 0.0)
    least = cam.amin((-2, -1), keepdim=True)
    if mode == 'minmax':
        return (cam - least) / (most - least + EPS)
    cam = cam.masked_fill(cam < least + EPS, 0)
    return (cam - least - EPS) / (most - least + EPS)


def add_background(
    cam: Tensor, *, threshold: float | None = None, power: float | None = None
) -> Tensor:
    r"""Put a background map before the classes' maps.

    Args:
        cam: Normalised activation maps (…, K, H, W).
        threshold: The background is this constant (SEAM, TransCAM, IRN).
        power: The background is :math:`(1 - \max_k s_k)^\alpha` with this
            :math:`\alpha` (PSA): a small one makes much background.

    Returns:
        (…, K + 1, H, W) float32, the background first.

    Raises:
        ValueError: Not exactly one of ``threshold`` and ``power`` is given, or it is
            not finite, or ``power`` is not above 0.
    """
    if (threshold is None) == (power is None):
        raise ValueError(
            f'threshold={threshold} and power={power}: give exactly one of them'
        )
    cam = as_float(cam)
    size = (*cam.shape[:-3], 1, *cam.shape[-2:])
    if threshold is not None:
        check_range('(-inf, inf)', threshold=threshold)
        background = cam.new_full(size, threshold)
    else:
        assert power is not None
        check_range('(0, inf)', power=power)
        # an image without any class is all background
        most = cam.amax(-3, keepdim=True) if cam.shape[-3] else cam.new_zeros(size)
        background = (1 - most).clamp(0, 1) ** power
    return torch.cat([background, cam], -3)


def refine_cam(cam: Tensor, affinity: Tensor) -> Tensor:
    r"""Let each token gather the activation of those it attends to.

    TransCAM: :math:`r_{ki} = \sum_j A_{ij} s_{kj}` with the attention A of the
    transformer, heads averaged, layers summed, class token left out.

    Args:
        cam: Activation maps s (B, K, h, w).
        affinity: A (B, hw, hw), tokens row by row.

    Returns:
        (B, K, h, w) float32.

    Raises:
        ValueError: The shapes do not fit.
    """
    tokens = cam.shape[-2] * cam.shape[-1]
    check_same_shape((cam.shape[0], tokens, tokens), affinity=affinity)
    with full_precision(cam.device):
        refined = as_float(cam).flatten(2) @ as_float(affinity).transpose(1, 2)
    return refined.view(cam.shape)


@torch.no_grad()
def cam_to_label(
    cam: Tensor,
    tags: Tensor,
    *,
    low: float = 0.25,
    high: float = 0.6,
    valid: Tensor | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Label the places whose activation is clear, from the tags of each image.

    Our reconstruction of AVC's pseudo-label in training: maps of the tagged classes,
    each scaled by its least and largest value; below ``low`` in all of them a place
    is background, above ``high`` it is of its largest class, between them void. The
    defaults are TransCAM's two backgrounds.

    Args:
        cam: Activation maps (B, C, h, w) of the classes 1…C, not scaled.
        tags: Classes of each image (B, C), bool.
        low: Upper bound of the background.
        high: Lower bound of the classes.
        valid: Where there is an image (B, h, w), bool; padding is void, and not among
            the least and largest values. By default everywhere.
        ignore_index: Label of the places between.

    Returns:
        (B, h, w) long: 0 is background, c + 1 the class of map c. An image without
        tags is background everywhere.

    Raises:
        ValueError: ``low`` is above ``high``, or the shapes do not fit.
    """
    if not low <= high:
        raise ValueError(f'low={low} is above high={high}: exchange them')
    check_same_shape(cam.shape[:2], tags=tags)
    if valid is not None:
        check_same_shape((cam.shape[0], *cam.shape[-2:]), valid=valid)
        inside = valid[:, None]
        least = cam.masked_fill(~inside, float('inf')).amin((-2, -1), keepdim=True)
        cam = torch.where(inside, cam, least)
    scaled = normalize_cam(cam, 'minmax').masked_fill(~tags.bool()[..., None, None], 0)
    most, label = scaled.max(1)
    label = (label + 1).masked_fill(most <= high, ignore_index)
    label = label.masked_fill(most < low, 0)
    return label if valid is None else label.masked_fill(~valid, ignore_index)
