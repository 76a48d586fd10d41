"""Affinities of neighbouring pixels, and the random walk along them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsemi.checks import check_range

from ._common import as_float, check_same_shape, full_precision

SPARSE_SHARE = 0.05
"""Share of entries above 0 below which sparse products are faster on a CPU."""
MEMORY_BOUND_ROWS = 16
"""Fewer rows than this take as long as so many: the matrix must be read anyway."""


class AffinityPairs(NamedTuple):
    """What is known of each pair: three masks (…, P, h, w), bool, disjoint.

    Entry [p, y, x] is the pair of (y, x) and (y, x) + ``pair_offsets(radius)[p]``.
    """

    background: Tensor
    foreground: Tensor
    different: Tensor


def pair_offsets(radius: int) -> list[tuple[int, int]]:
    """Return the P steps (dy, dx) shorter than ``radius``, one of each two opposite.

    34 steps for PSA's radius of 5: to the right, and down to either side.

    Raises:
        ValueError: ``radius`` is not an integer above 1: there would be no pair.
    """
    if radius != int(radius) or radius < 2:
        raise ValueError(f'radius={radius}: give an integer of at least 2')
    reach = range(1 - int(radius), int(radius))
    return [
        (dy, dx)
        for dy in range(int(radius))
        for dx in reach
        if (dy > 0 or dx > 0) and dy * dy + dx * dx < radius * radius
    ]


def _pairs(x: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return both ends of the pairs inside a map (…, h, w), as views."""
    dy, dx = offset
    height, width = x.shape[-2:]
    rows, columns = max(height - dy, 0), max(width - abs(dx), 0)
    left, right = max(-dx, 0), max(dx, 0)
    first = x[..., :rows, left : left + columns]
    return first, x[..., height - rows :, right : right + columns]


def _place(x: Tensor, offset: tuple[int, int], size: Sequence[int]) -> Tensor:
    """Put values of pairs where their first pixel is; 0 where there is no pair."""
    left = min(max(-offset[1], 0), size[1])
    right = size[1] - left - x.shape[-1]
    return F.pad(x, (left, right, 0, size[0] - x.shape[-2]))


def affinity_pairs(
    label: Tensor, radius: int, *, ignore_index: int = 255
) -> AffinityPairs:
    """Say of each pair of near pixels whether their labels agree.

    AffinityNet (PSA, CVPR 2018), Eq. 5. The original leaves out the pairs that begin
    near the border, so that the corners have none; here each unordered pair
    inside the map counts, once.

    Args:
        label: Classes (…, h, w), 0 is background.
        radius: Pairs are nearer than it, in pixels of the map.
        ignore_index: Void; its pairs are in no mask.

    Returns:
        Masks of the pairs that are both background, of the same other class, and of
        different classes, (…, P, h, w) each.

    Raises:
        ValueError: ``radius`` is below 2, or ``label`` is not (…, h, w).
    """
    if label.dim() < 2:
        raise ValueError(f'label must be (…, h, w), not {tuple(label.shape)}')
    size = label.shape[-2:]
    found: list[list[Tensor]] = [[], [], []]
    for offset in pair_offsets(radius):
        one, other = _pairs(label, offset)
        valid = (one != ignore_index) & (other != ignore_index)
        same = valid & (one == other)
        masks = same & (one == 0), same & (one != 0), valid & (one != other)
        for stack, mask in zip(found, masks, strict=True):
            stack.append(_place(mask, offset, size))
    return AffinityPairs(*(torch.stack(masks, -3) for masks in found))


def pair_affinity(feature: Tensor, radius: int) -> Tensor:
    r"""Affinity of each pair of near pixels.

    AffinityNet (PSA), Eq. 4: :math:`\exp(-\frac{1}{D} \sum_d |f_{di} - f_{dj}|)`.

    Args:
        feature: f (…, D, h, w).
        radius: As in :func:`affinity_pairs`.

    Returns:
        (…, P, h, w) in (0, 1], placed as in :class:`AffinityPairs`; 0 where the
        second pixel is outside. float32.

    Raises:
        ValueError: ``radius`` is below 2, or ``feature`` is not (…, D, h, w).
    """
    if feature.dim() < 3:
        raise ValueError(f'feature must be (…, D, h, w), not {tuple(feature.shape)}')
    feature = as_float(feature)
    found = []
    for offset in pair_offsets(radius):
        one, other = _pairs(feature, offset)
        affinity = (one - other).abs().mean(-3).neg().exp()
        found.append(_place(affinity, offset, feature.shape[-2:]))
    return torch.stack(found, -3)


def affinity_matrix(feature: Tensor, radius: int) -> Tensor:
    """Affinity of all pixels with each other, 0 from ``radius`` on.

    Args:
        feature: (…, D, h, w).
        radius: As in :func:`affinity_pairs`.

    Returns:
        (…, hw, hw), symmetric, 1 on the diagonal, pixels row by row. float32.

    Raises:
        ValueError: As :func:`pair_affinity`.
    """
    pairs = pair_affinity(feature, radius)
    *batch, _, height, width = pairs.shape
    count = height * width
    first = torch.arange(count, device=pairs.device)
    steps = [dy * width + dx for dy, dx in pair_offsets(radius)]
    second = first + torch.tensor(steps, device=pairs.device)[:, None]
    # outside there is no pair: 0 is added to any place
    slots = (first * count + second).clamp(0, count * count - 1).flatten()
    half = pairs.new_zeros(*batch, count * count)
    half = half.scatter_add(-1, slots.expand(*batch, -1), pairs.flatten(-3))
    half = half.view(*batch, count, count)
    identity = torch.eye(count, dtype=half.dtype, device=half.device)
    return half + half.transpose(-2, -1) + identity


def random_walk(cam: Tensor, affinity: Tensor, *, beta: float, log_t: int) -> Tensor:
    r"""Spread activation maps along the affinities.

    AffinityNet (PSA), Eq. 8 to 10: :math:`T = A^{\circ\beta} D^{-1}` with
    :math:`D_{jj} = \sum_i A_{ij}^\beta`, so that the columns of T sum to 1, and
    :math:`s\,T^t` with :math:`t = 2^{\text{log_t}}` steps. The original squares T
    ``log_t`` times; multiplying the few rows of s instead is the same, and
    faster, so that T is squared only as often as this pays. On a CPU, without
    gradients, a T that is mostly 0 is multiplied as a sparse matrix.

    Args:
        cam: Activation maps s (…, K, h, w).
        affinity: A (…, hw, hw), not negative.
        beta: Exponent of each affinity; a large one blocks weak links.
        log_t: Logarithm to base 2 of the number of steps.

    Returns:
        (…, K, h, w) float32. A pixel without any affinity becomes 0.

    Raises:
        ValueError: The shapes do not fit, ``beta`` is not above 0, or ``log_t`` is
            not an integer of at least 0.
    """
    *batch, classes, height, width = cam.shape
    count = height * width
    check_same_shape((*batch, count, count), affinity=affinity)
    check_range('(0, inf)', beta=beta)
    if log_t != int(log_t) or log_t < 0:
        raise ValueError(f'log_t={log_t}: give an integer of at least 0')
    with full_precision(cam.device):
        walk = as_float(affinity) ** beta
        total = walk.sum(-2, keepdim=True)
        walk = walk / total.clamp_min(torch.finfo(total.dtype).tiny)
        rows = as_float(cam).flatten(-2)
        if _is_sparse(walk):
            number = math.prod(batch)
            several = (
                rows.reshape(number, classes, count),
                walk.reshape(number, count, count),
            )
            steps = 2 ** int(log_t)
            walked = [_sparse_walk(*one, steps) for one in zip(*several, strict=True)]
            return torch.stack(walked).view(cam.shape)
        squarings = _best_squarings(int(log_t), classes, count)
        for _ in range(squarings):
            walk = walk @ walk
        for _ in range(2 ** (int(log_t) - squarings)):
            rows = rows @ walk
    return rows.view(cam.shape)


def _is_sparse(walk: Tensor) -> bool:
    """Say whether a sparse product is faster and possible; on a GPU it would wait."""
    if walk.device.type != 'cpu' or (torch.is_grad_enabled() and walk.requires_grad):
        return False
    return bool(walk.count_nonzero() < SPARSE_SHARE * walk.numel())


def _sparse_walk(rows: Tensor, walk: Tensor, steps: int) -> Tensor:
    """Multiply rows (K, N) by a matrix (N, N), mostly 0, some times."""
    sparse = walk.t().to_sparse()
    columns = rows.t().contiguous()
    for _ in range(steps):
        columns = torch.sparse.mm(sparse, columns)
    return columns.t()


def _best_squarings(log_t: int, rows: int, count: int) -> int:
    """Return how often to square T, of the least number of multiplications."""
    rows = max(rows, MEMORY_BOUND_ROWS)
    return min(range(log_t + 1), key=lambda s: s * count + 2 ** (log_t - s) * rows)
