"""mmseg's DeepLabV3+ head, conditioned on boxes."""

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmsemi.models.utils.stack_boxes import check_box_classes
from mmsemi.registry import MODELS


class BoxAttention(nn.Module):
    """Multiply a feature by a gate made of boxes.

    The box encoder of self-correcting networks (CVPR 2020) at one scale: the maps of
    the boxes are resized to the feature, convolved 3x3 to its channels and go through
    a sigmoid. The paper leaves open how to resize (here to the nearest pixel, which
    keeps the maps binary) and whether the convolution has a bias (it has) or a
    normalisation (none).

    Args:
        num_box_classes: Number C of classes that have boxes.
        channels: Channels D of the feature.
    """

    def __init__(self, num_box_classes: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_box_classes + 1, channels, 3, padding=1)

    def forward(self, feature: Tensor, box_mask: Tensor) -> Tensor:
        """Gate a feature.

        Args:
            feature: (B, D, h, w).
            box_mask: (B, C + 1, H, W), of any size.

        Returns:
            (B, D, h, w).
        """
        small = F.interpolate(box_mask, feature.shape[2:], mode='nearest-exact')
        return feature * self.conv(small).sigmoid()


@MODELS.register_module()
class BoxConditionedHead(DepthwiseSeparableASPPHead):
    """mmseg's DeepLabV3+ head with box attention at two scales.

    The decoder of the ancillary model of self-correcting networks (CVPR 2020), for
    any backbone. The attention multiplies the low-level feature before its 1x1
    projection, and the output of the ASPP before it is upsampled; each scale has a
    convolution of its own. The paper does not say on which side of the projection.

    The head's inputs are the backbone's features and, as the last one, the maps of the
    boxes (B, C + 1, H, W), as :func:`mmsemi.models.utils.boxes.boxes_to_mask` draws
    them: :class:`BoxConditionedSegmentor` appends them.

    Args:
        num_box_classes: Number C of classes that have boxes: ``num_classes`` less one
            if the first class is a background, else ``num_classes``.
        **kwargs: As for mmseg's ``DepthwiseSeparableASPPHead``.

    Raises:
        ValueError: If there is no class with boxes, or no low-level feature.
    """

    def __init__(self, *, num_box_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.c1_bottleneck is None:
            raise ValueError(
                'BoxConditionedHead conditions two features, but c1_in_channels is 0: '
                "give the channels of the backbone's first output"
            )
        check_box_classes(num_box_classes, self.num_classes)
        self.num_box_classes = num_box_classes
        low = self.c1_bottleneck.conv.in_channels
        self.low_attention = BoxAttention(num_box_classes, low)
        self.high_attention = BoxAttention(num_box_classes, self.channels)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, num_classes, h, w), at the low-level feature's size."""
        *features, box_mask = inputs
        x = self._transform_inputs(features)
        pooled = self._resize(self.image_pool(x), x)
        x = self.bottleneck(torch.cat([pooled, *self.aspp_modules(x)], dim=1))
        x = self.high_attention(x, box_mask)
        low = self.c1_bottleneck(self.low_attention(features[0], box_mask))
        x = torch.cat([self._resize(x, low), low], dim=1)
        return self.cls_seg(self.sep_bottleneck(x))

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(
            x, size=like.shape[2:], mode='bilinear', align_corners=self.align_corners
        )
