"""One or several networks that label together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmsemi.datasets.seeding import derive_seed
from mmsemi.models.utils.tta import check_fuse, check_scales, tta_probabilities

VOID = 255


@dataclass(frozen=True)
class Ensemble:
    """How networks label: views, fusion, threshold, precision.

    Attributes:
        networks: Segmentors in eval mode, on one device.
        scales: Of the test-time augmentation.
        flip: Also predict the mirrored image.
        weights: Weight of each network, at least 0. By default equal ones.
        noise: Pixel noise on the weight of the first of two networks, uniform in
            [-noise, noise], shared by the classes and seeded with the image's id.
        threshold: Pixels of less probability are void (255).
        amp: Half precision: float16 on a GPU, bfloat16 on the CPU.
        size_divisor: Views are padded to a multiple of it.
        fuse: What is averaged over the views of a network: ``'softmax'``, or
            ``'logits'``, followed by one softmax (LPL).

    Raises:
        ValueError: A value is outside its range, or a network is in training mode.
    """

    networks: Sequence[nn.Module]
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    weights: Sequence[float] | None = None
    noise: float = 0.0
    threshold: float | None = None
    amp: bool = False
    size_divisor: int = 1
    fuse: str = 'softmax'

    def __post_init__(self) -> None:
        number = len(self.networks)
        check_scales(self.scales)
        check_fuse(self.fuse)
        shares(self.weights, number)
        if self.noise < 0 or (self.noise > 0 and number != 2):
            raise ValueError(
                f'noise={self.noise} with {number} networks: it moves the weight '
                'between two networks; give two, or leave it at 0'
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(
                f'threshold={self.threshold} is no probability: choose it from [0, 1]'
            )
        if any(network.training for network in self.networks):
            raise ValueError(
                'a network that is to label is in training mode: call eval() first'
            )

    @torch.no_grad()
    def label(
        self,
        images: Tensor,
        size: tuple[int, int],
        ids: Sequence[str],
        tags: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Label images.

        Args:
            images: Normalised images (B, 3, H, W).
            size: Height h and width w of the labels.
            ids: Ids of the images, which seed the noise.
            tags: Classes that each image has (B, C), bool; each network's others get
                the probability 0. By default it may have all.

        Returns:
            Labels (B, h, w), uint8, and class probabilities (B, C, h, w), float32.

        Raises:
            ValueError: The tags do not fit.
        """
        if tags is not None:
            tags = tags.to(images.device)
        noise = None
        if self.noise:
            maps = [pixel_noise(name, size, self.noise) for name in ids]
            noise = torch.stack(maps).to(images.device)
        kind = images.device.type
        precision = torch.float16 if kind == 'cuda' else torch.bfloat16
        with torch.autocast(kind, precision, enabled=self.amp):
            probs = [
                tta_probabilities(
                    network,
                    images,
                    scales=self.scales,
                    flip=self.flip,
                    size=size,
                    size_divisor=self.size_divisor,
                    fuse=self.fuse,
                    tags=tags,
                )
                for network in self.networks
            ]
        prob = fuse_probabilities(probs, self.weights, noise)
        # on a CPU several times faster than argmax alone
        confidence, label = prob.max(1)
        if self.threshold is not None:
            label.masked_fill_(confidence < self.threshold, VOID)
        return label.to(torch.uint8), prob


def shares(weights: Sequence[float] | None, number: int) -> list[float]:
    """Return the networks' shares of a mean, which sum to 1.

    Raises:
        ValueError: There is no network, or the weights are not one for each, at
            least 0 and not all 0.
    """
    if number < 1:
        raise ValueError('no network is given: give at least one that labels')
    weights = [1.0] * number if weights is None else list(weights)
    if len(weights) != number or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(
            f'weights={weights} for {number} networks: give one for each, at least 0 '
            'and not all 0'
        )
    return [weight / sum(weights) for weight in weights]


def fuse_probabilities(
    probs: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Average the probabilities of several networks.

    For two networks this is BST's weighted fusion in our reading (see
    :func:`mmsemi.models.utils.pseudo_label.weighted_fusion`, which returns the
    label): ``alpha * p1 + (1 - alpha) * p2``, ``alpha = clip(w1 + noise, 0, 1)``.

    Args:
        probs: Probabilities (B, C, H, W) of each network, float32.
        weights: Weight of each, at least 0. By default equal ones.
        noise: Pixel noise (B, 1, H, W) on the first weight of two.

    Returns:
        Probabilities (B, C, H, W), float32.
    """
    share = shares(weights, len(probs))
    if len(probs) == 1:
        return probs[0]
    if len(probs) == 2:
        alpha = share[0] if noise is None else (share[0] + noise).clamp(0, 1)
        return alpha * probs[0] + (1 - alpha) * probs[1]
    return sum(
        (part * prob for part, prob in zip(share[1:], probs[1:], strict=True)),
        start=share[0] * probs[0],
    )


def pixel_noise(name: str, size: tuple[int, int], bound: float) -> Tensor:
    """Draw the noise of an image, the same on every machine and in every order.

    Args:
        name: The image's id.
        size: Height H and width W.
        bound: The noise is uniform in [-bound, bound).

    Returns:
        (1, H, W), float32, on the CPU.
    """
    generator = torch.Generator().manual_seed(derive_seed('pixel noise', name))
    return bound * (2 * torch.rand((1, *size), generator=generator) - 1)
