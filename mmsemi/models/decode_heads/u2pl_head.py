"""U2PL's own decoder, for the reproduction configs."""

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmsemi.registry import MODELS


@MODELS.register_module()
class U2PLHead(BaseDecodeHead):
    """DeepLabV3+ decoder of U2PL with its parallel representation head.

    `U2PL <https://arxiv.org/abs/2203.03884>`_. It differs from mmseg's
    ``DepthwiseSeparableASPPHead`` in that the low-level feature keeps 256
    channels, no convolution is separable, and the classifier has two 3x3
    convolutions.

    Args:
        c1_in_channels: Channels of the low-level feature at stride 4, the
            first of the backbone's outputs.
        dilations: Of the ASPP. Defaults to (1, 12, 24, 36).
        rep_channels: Channels of the representation. Defaults to 256.
        **kwargs: As for mmseg's ``BaseDecodeHead`` (``in_channels``,
            ``channels``, ``num_classes``, …).
    """

    def __init__(
        self,
        *,
        c1_in_channels: int,
        dilations: tuple[int, ...] = (1, 12, 24, 36),
        rep_channels: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rep_channels = rep_channels
        width = self.channels
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), self._conv(self.in_channels, width, 1)
        )
        self.aspp = ASPPModule(
            dilations,
            self.in_channels,
            width,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        self.bottleneck = nn.Sequential(
            self._conv((len(dilations) + 1) * width, width, 3), self._dropout()
        )
        self.c1_bottleneck = self._conv(c1_in_channels, width, 1, bias=True)
        self.classifier = self._two_convs()
        self.representation = nn.Sequential(
            *self._two_convs(), self._dropout(), nn.Conv2d(width, rep_channels, 1)
        )

    def _conv(
        self, in_channels: int, out_channels: int, kernel: int, bias: bool = False
    ) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            kernel,
            padding=kernel // 2,
            bias=bias,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _dropout(self) -> nn.Module:
        return nn.Dropout2d(self.dropout_ratio)

    def _two_convs(self) -> nn.Sequential:
        """Two 3x3 convolutions; the classifier's last dropout is ``cls_seg``'s."""
        width = self.channels
        return nn.Sequential(
            self._conv(2 * width, width, 3, bias=True),
            self._dropout(),
            self._conv(width, width, 3, bias=True),
        )

    def _decode(self, inputs: list[Tensor]) -> Tensor:
        """Join the ASPP output and the low-level feature: (B, 2·256, h/4, w/4)."""
        x = self._transform_inputs(inputs)
        pooled = resize(
            self.image_pool(x),
            size=x.shape[2:],
            mode='bilinear',
            align_corners=self.align_corners,
        )
        x = self.bottleneck(torch.cat([pooled, *self.aspp(x)], dim=1))
        low = self.c1_bottleneck(inputs[0])
        x = resize(
            x, size=low.shape[2:], mode='bilinear', align_corners=self.align_corners
        )
        return torch.cat([low, x], dim=1)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, C, h/4, w/4)."""
        return self.cls_seg(self.classifier(self._decode(inputs)))

    def forward_with_representation(
        self, inputs: list[Tensor], *previous: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the scores and the representation (B, D, h/4, w/4)."""
        feature = self._decode(inputs)
        scores = self.cls_seg(self.classifier(feature))
        return scores, self.representation(feature)
