"""AffinityNet's loss, and its labels from sure foreground and sure background."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsemi.models.utils._common import as_float, check_same_shape
from mmsemi.models.utils.affinity import affinity_pairs, pair_affinity

EPS = 1e-5


def affinity_loss(
    feature: Tensor, label: Tensor, *, radius: int = 5, ignore_index: int = 255
) -> Tensor:
    r"""Binary cross entropy of the affinities of near pixels.

    AffinityNet (PSA, CVPR 2018), Eq. 6 and 7: with the affinity a of a pair,
    :math:`\frac14 L_{bg} + \frac14 L_{fg} + \frac12 L_{different}`, each the mean
    over its pairs in the batch, of :math:`-\log(a + 10^{-5})` for the first two and
    :math:`-\log(1 + 10^{-5} - a)` for the third; counts have :math:`10^{-5}` added.
    Pairs as in :func:`~mmsemi.models.utils.affinity.affinity_pairs`.

    Args:
        feature: (B, D, h, w).
        label: Classes (B, h, w), 0 is background.
        radius: Pairs are nearer than it.
        ignore_index: Void.

    Returns:
        Scalar; 0 with a gradient of 0 if there is no pair.

    Raises:
        ValueError: The shapes do not fit, or ``radius`` is below 2.
    """
    check_same_shape((feature.shape[0], *feature.shape[-2:]), label=label)
    affinity = pair_affinity(feature, radius)
    pairs = affinity_pairs(label, radius, ignore_index=ignore_index)

    def mean(terms: Tensor, mask: Tensor) -> Tensor:
        return terms.masked_fill(~mask, 0).sum() / (mask.sum() + EPS)

    near = -(affinity + EPS).log()
    far = -(1 + EPS - affinity).log()
    same = mean(near, pairs.background) + mean(near, pairs.foreground)
    return same / 4 + mean(far, pairs.different) / 2


def label_from_scores(
    scores: Tensor, stride: int, *, ignore_index: int = 255
) -> Tensor:
    """Label blocks of pixels by their largest mean score.

    PSA's labels for AffinityNet: the scores of a dense CRF, averaged over blocks as
    large as the network's stride.

    Args:
        scores: (…, C, H, W), not negative, 0 in all classes where an image was
            padded.
        stride: Side of a block; a part of a block at the border counts as one.
        ignore_index: Label of blocks without any score.

    Returns:
        (…, ceil(H / stride), ceil(W / stride)) long; the lowest class on ties.
    """
    if stride != int(stride) or stride < 1:
        raise ValueError(f'stride={stride}: give an integer of at least 1')
    height, width = scores.shape[-2:]
    scores = F.pad(as_float(scores), (0, -width % stride, 0, -height % stride))
    flat = scores.reshape(-1, 1, *scores.shape[-2:])
    pooled = F.avg_pool2d(flat, stride)
    most, label = pooled.view(*scores.shape[:-2], *pooled.shape[-2:]).max(-3)
    return label.masked_fill(most == 0, ignore_index)


def sure_label(
    foreground: Tensor, background: Tensor, *, ignore_index: int = 255
) -> Tensor:
    """Keep the labels of which two backgrounds of different strength are sure.

    PSA: classes are taken from the label map made with a strong background, and
    background from the one made with a weak background; where only the strong one
    says background, a pixel is void.

    The names of the originals are a trap: "la" is the strong background, PSA's
    *low* alpha (4), but TransCAM's *high* threshold (0.60); "ha" is the weak one
    (alpha 32, or 0.25).

    Args:
        foreground: Classes (…, h, w) under the strong background ("la").
        background: Classes (…, h, w) under the weak background ("ha").
        ignore_index: Void in either map stays void. In TransCAM's code padding
            becomes background here.

    Returns:
        (…, h, w) long.

    Raises:
        ValueError: The shapes differ.
    """
    check_same_shape(foreground.shape, background=background)
    void = (foreground == ignore_index) | (background == ignore_index)
    label = foreground.long().masked_fill(foreground == 0, ignore_index)
    label = label.masked_fill(background == 0, 0)
    return torch.where(void, ignore_index, label)
