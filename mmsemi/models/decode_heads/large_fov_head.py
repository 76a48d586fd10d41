"""DeepLabV1's LargeFOV head."""

from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmsemi.registry import MODELS


@MODELS.register_module()
class LargeFOVHead(BaseDecodeHead):
    """One 3x3 convolution of dilation 12, one 1x1 convolution, a classifier.

    `DeepLab-LargeFOV <https://arxiv.org/abs/1412.7062>`_ on ResNet-38, as in the last
    step of AVC: both convolutions without bias, with norm and ReLU, then dropout.

    Args:
        in_channels: Channels of the feature.
        channels: Of the two convolutions. Defaults to 512.
        dilation: Of the first. Defaults to 12.
        dropout_ratio: Before the classifier. Defaults to 0.5.
        align_corners: Of the resize of the scores. Defaults to True.
        **kwargs: As for mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 512,
        dilation: int = 12,
        dropout_ratio: float = 0.5,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        if dropout_ratio:
            # single values, as DeepLab; mmseg drops whole channels
            self.dropout = nn.Dropout(dropout_ratio)
        norm = dict(norm_cfg=self.norm_cfg, act_cfg=dict(type='ReLU'), bias=False)
        self.conv_fov = ConvModule(
            in_channels, channels, 3, padding=dilation, dilation=dilation, **norm
        )
        self.conv_fov2 = ConvModule(channels, channels, 1, **norm)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, K, h, w) of the backbone's features."""
        x = self._transform_inputs(inputs)
        return self.cls_seg(self.conv_fov2(self.conv_fov(x)))
