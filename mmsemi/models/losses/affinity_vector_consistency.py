"""AVC's consistency of affinity vectors: a reconstruction, not the authors' code."""

import torch
from torch import Tensor

from mmsemi.checks import check_choice
from mmsemi.models.utils._common import as_float, check_same_shape, full_precision

MODES = ('target', 'pair', 'view')
EPS = 1e-6


def affinity_vector_consistency(
    affinity: Tensor,
    label: Tensor,
    *,
    mode: str = 'target',
    balanced: bool = False,
    symmetric: bool = False,
    flipped: Tensor | None = None,
    width: int | None = None,
    ignore_index: int = 255,
) -> Tensor:
    r"""Tokens of one class should have the same affinity vector (reconstruction).

    AVC's training code and paper cannot be had. This is our reconstruction from its
    figure: the affinity vector :math:`a_i` of token i is its row of the affinity
    matrix, without the columns of void tokens, scaled to length 1.

    * ``'target'``: mean over the tokens that are not void of
      :math:`1 - \hat a_i \cdot \hat t_i`, where :math:`t_{ij}` is 1 if i and j are of
      one class, and 0 else.
    * ``'pair'``: with the cosines :math:`G = \hat A \hat A^T`, half the mean of
      :math:`1 - G_{ij}` over the pairs of one class (a token with itself is one),
      plus half the mean of :math:`G_{ij}` over the pairs of two classes; counts have
      1 added, over the whole batch.
    * ``'view'``: mean over the tokens that are not void of
      :math:`1 - \cos(a_i, \pi(a'_i))`, where :math:`a'` is the affinity of the
      mirrored image and :math:`\pi` mirrors the rows and columns of its tokens back.
      Of the label only void is read.

    Args:
        affinity: A (B, N, N), not negative: attention of the tokens, row by row of
            the token grid, heads averaged and layers summed, without the class token.
        label: Class of each token (B, N); background is a class like the others.
        mode: What an affinity vector is compared with.
        balanced: Take the mean over each class of each image first, then over those;
            for ``'target'``.
        symmetric: The mean of the loss of A and of its transpose.
        flipped: Affinity of the horizontally mirrored images (B, N, N), for
            ``'view'``.
        width: Width of the token grid, for ``'view'``.
        ignore_index: Void.

    Returns:
        Scalar; 0 with a gradient of 0 if all is void.

    Raises:
        ValueError: The mode is unknown, the shapes do not fit, or an argument of
            another mode is given or missing.
    """
    _check(affinity, label, mode, balanced, flipped, width)
    valid = label != ignore_index
    sides = [as_float(affinity)]
    others = None
    if flipped is not None and width is not None:
        others = [_mirror(as_float(flipped), width)]
    if symmetric:
        sides.append(sides[0].transpose(1, 2))
        if others is not None:
            others.append(others[0].transpose(1, 2))
    same = (label[:, :, None] == label[:, None]) & valid[:, :, None] & valid[:, None]
    losses = []
    for i, side in enumerate(sides):
        vectors = _unit(side, valid)
        if others is not None:
            cosine = (vectors * _unit(others[i], valid)).sum(-1)
            losses.append(_mean(1 - cosine, valid.to(cosine.dtype)))
        elif mode == 'pair':
            losses.append(_pair_loss(vectors, same, valid))
        else:
            losses.append(_target_loss(vectors, same, valid, balanced))
    return torch.stack(losses).mean()


def _check(
    affinity: Tensor,
    label: Tensor,
    mode: str,
    balanced: bool,
    flipped: Tensor | None,
    width: int | None,
) -> None:
    check_choice(mode=(mode, MODES))
    check_same_shape((*label.shape, label.shape[-1]), affinity=affinity)
    if balanced and mode != 'target':
        raise ValueError(f"balanced=True is for mode='target', not {mode!r}")
    if mode != 'view':
        if flipped is not None or width is not None:
            raise ValueError(f"flipped and width are for mode='view', not {mode!r}")
        return
    if flipped is None or width is None:
        raise ValueError(
            "mode='view' needs flipped, the affinity of the mirrored images, and width,"
            ' that of the token grid'
        )
    check_same_shape(affinity.shape, flipped=flipped)
    if width < 1 or label.shape[1] % width:
        raise ValueError(
            f'width={width} does not divide the {label.shape[1]} tokens: give the '
            'width of the token grid'
        )


def _unit(affinity: Tensor, valid: Tensor) -> Tensor:
    """Drop the columns of void tokens, and scale the rows to length 1."""
    vectors = affinity.masked_fill(~valid[:, None], 0)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    # a row of nothing has no direction: 1e6 as its gradient would overflow in float16
    vectors = torch.where(length > EPS, vectors, vectors.detach())
    return vectors / length.clamp_min(EPS)


def _mean(terms: Tensor, weight: Tensor) -> Tensor:
    # a term that does not count must not count as NaN either
    terms = terms.masked_fill(weight == 0, 0)
    total = weight.sum()
    return (weight * terms).sum() / torch.where(total > 0, total, 1)


def _target_loss(
    vectors: Tensor, same: Tensor, valid: Tensor, balanced: bool
) -> Tensor:
    """Compare the vectors (B, N, N) with the indicators of their own class."""
    number = same.sum(-1).clamp_min(1).to(vectors.dtype)
    cosine = vectors.masked_fill(~same, 0).sum(-1) / number.sqrt()
    weight = valid.to(vectors.dtype)
    # the weights of a class in an image then sum to 1
    return _mean(1 - cosine, weight / number if balanced else weight)


def _pair_loss(vectors: Tensor, same: Tensor, valid: Tensor) -> Tensor:
    """Compare the vectors (B, N, N) of tokens with each other."""
    with full_precision(vectors.device):
        cosine = vectors @ vectors.transpose(1, 2)
    different = valid[:, :, None] & valid[:, None] & ~same
    near = (1 - cosine).masked_fill(~same, 0).sum() / (same.sum() + 1)
    far = cosine.masked_fill(~different, 0).sum() / (different.sum() + 1)
    return (near + far) / 2


def _mirror(affinity: Tensor, width: int) -> Tensor:
    """Mirror the token grid along the rows and the columns of A (B, N, N)."""
    batch, count, _ = affinity.shape
    grid = affinity.view(batch, count // width, width, count // width, width)
    return grid.flip(2, 4).view(affinity.shape)
