"""The DeepLabV3+ head of ST, ST++ and BST."""

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmsemi.models.decode_heads.branch_attention_head import BranchAttention
from mmsemi.registry import MODELS


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """DeepLabV3+ head without separable convolutions, as released with ST++.

    `ST++ <https://arxiv.org/abs/2106.05095>`_ and BST. It differs from mmseg's
    ``DepthwiseSeparableASPPHead`` in that the ASPP's output is projected by a 1x1
    convolution with a dropout of its own, no convolution is separable, the image
    pool is the last branch of the ASPP and the low-level feature comes before its
    output, corners are aligned, and the classifier's dropout is elementwise.

    BST's second network has branch attention on the ASPP's branches before the
    projection. The released code also builds one for the decoder, which it never
    calls (and cannot: its groups do not divide the 304 channels); here is none.

    Args:
        c1_in_channels: Channels of the low-level feature at stride 4, the first of
            the backbone's outputs.
        c1_channels: Its channels after the reduction. Defaults to 48.
        channels: Channels of each branch and of the decoder. Defaults to 256.
        dilations: Of the ASPP, where 1 is a 1x1 convolution. Defaults to
            (1, 12, 24, 36).
        aspp_dropout_ratio: Of whole channels, after the projection. Defaults to 0.5.
        dropout_ratio: Of single values, before the classifier. Defaults to 0.1.
        align_corners: Of every resize. Defaults to True.
        attention: Arguments of :class:`BranchAttention`, e.g. ``dict(groups=32)``,
            or None for none.
        **kwargs: As for mmseg's ``BaseDecodeHead`` (``in_channels``,
            ``num_classes``, ``norm_cfg``, …).

    Raises:
        ValueError: If the attention's groups do not divide its channels.
    """

    def __init__(
        self,
        *,
        c1_in_channels: int,
        c1_channels: int = 48,
        channels: int = 256,
        dilations: tuple[int, ...] = (1, 12, 24, 36),
        aspp_dropout_ratio: float = 0.5,
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        attention: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            channels=channels,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        width = (len(dilations) + 1) * channels
        self.aspp = ASPPModule(
            dilations,
            self.in_channels,
            channels,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), self._conv(self.in_channels, channels, 1)
        )
        self.attention = (
            nn.Identity() if attention is None else BranchAttention(width, **attention)
        )
        self.project = nn.Sequential(
            self._conv(width, channels, 1), nn.Dropout2d(aspp_dropout_ratio)
        )
        self.reduce = self._conv(c1_in_channels, c1_channels, 1)
        self.fuse = nn.Sequential(
            self._conv(c1_channels + channels, channels, 3),
            self._conv(channels, channels, 3),
        )
        # cls_seg applies it; mmseg's drops whole channels
        self.dropout = nn.Dropout(dropout_ratio)

    def _conv(self, in_channels: int, out_channels: int, kernel: int) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            kernel,
            padding=kernel // 2,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(
            x, size=like.shape[2:], mode='bilinear', align_corners=self.align_corners
        )

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, C, h/4, w/4) of features whose first is c1."""
        x = self._transform_inputs(inputs)
        pooled = self._resize(self.image_pool(x), x)
        branches = torch.cat([*self.aspp(x), pooled], dim=1)
        x = self.project(self.attention(branches))
        low = self.reduce(inputs[0])
        return self.cls_seg(self.fuse(torch.cat([low, self._resize(x, low)], dim=1)))
