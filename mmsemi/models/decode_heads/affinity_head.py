"""AffinityNet's head: features whose distance says how near pixels belong together."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsemi.registry import MODELS


@MODELS.register_module()
class AffinityHead(BaseModule):
    """The feature of PSA's AffinityNet.

    `AffinityNet <https://arxiv.org/abs/1803.10464>`_ on ResNet-38, as released: three
    features of the backbone are projected by 1x1 convolutions, joined, and go through
    one more, each followed by ELU; no bias.

    Args:
        in_channels: Channels of the features. Defaults to ResNet38's at width 1.
        channels: Of their projections. Defaults to (64, 128, 256).
        init_cfg: mmengine's. By default Kaiming's, and Xavier's with gain 4 for the
            last convolution.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 1024, 4096),
        channels: Sequence[int] = (64, 128, 256),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            last = dict(type='Xavier', name='f9', gain=4)
            init_cfg = dict(type='Kaiming', layer='Conv2d', override=last)
        super().__init__(init_cfg=init_cfg)
        if len(in_channels) != 3 or len(channels) != 3:
            raise ValueError(
                f'AffinityHead in_channels={tuple(in_channels)}, channels='
                f'{tuple(channels)}: give three numbers each'
            )
        width = sum(channels)
        self.f8_3, self.f8_4, self.f8_5 = (
            nn.Conv2d(one, out, 1, bias=False)
            for one, out in zip(in_channels, channels, strict=True)
        )
        self.f9 = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the feature (B, D, h, w) of three features of one size."""
        layers = (self.f8_3, self.f8_4, self.f8_5)
        parts = [F.elu(f(x)) for f, x in zip(layers, features, strict=True)]
        return F.elu(self.f9(torch.cat(parts, 1)))
