"""The DeepLabV2 head: a sum of dilated classifiers."""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmsemi.registry import MODELS


class DilatedClassifiers(nn.ModuleList):
    """3x3 convolutions of different dilation, whose outputs are added.

    Args:
        in_channels: Channels C of the feature.
        out_channels: Number of scores K.
        dilations: One for each convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilations: Sequence[int]
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=d, dilation=d)
            for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn a feature (B, C, h, w) into scores (B, K, h, w)."""
        return torch.stack([conv(x) for conv in self]).sum(0)


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """Atrous spatial pyramid pooling of DeepLabV2.

    `DeepLab <https://arxiv.org/abs/1606.00915>`_ (ASPP-L): each branch classifies the
    backbone's feature with one dilated 3x3 convolution; no norm, no hidden layer.
    ST++ uses it on output stride 8.

    Args:
        in_channels: Channels of the feature.
        dilations: Of the branches. Defaults to (6, 12, 18, 24).
        dropout_ratio: Before the classifiers. Defaults to 0.
        align_corners: Of the resize of the scores. Defaults to True.
        **kwargs: As for mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        dropout_ratio: float = 0.0,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        self.conv_seg = DilatedClassifiers(in_channels, self.out_channels, dilations)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, K, h, w) of the backbone's features."""
        return self.cls_seg(self._transform_inputs(inputs))
