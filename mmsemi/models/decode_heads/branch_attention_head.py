"""BST's branch attention (BCEA), and mmseg's DeepLabV3+ head with it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmsemi.models.utils._common import full_precision
from mmsemi.registry import MODELS


class BranchAttention(nn.Module):
    """Multiply a feature by a gate per pixel and channel group.

    BST's branch attention module (BCEA), which is the Efficient Multi-scale Attention
    of `Ouyang et al. <https://arxiv.org/abs/2305.13563>`_ (ICASSP 2023), bit for bit
    and with its layers' names, so that weights can be exchanged. The groups are
    contiguous channels and share the layers; with n channels per group:

    1. gate each row and column: x1 = GN(x * sigmoid(rows) * sigmoid(columns)), the
       two from one 1x1 convolution of the means over columns and over rows;
    2. x2 = conv3x3(x);
    3. s = <softmax(mean(x1)), x2> + <softmax(mean(x2)), x1> over the n channels;
    4. the output is x * sigmoid(s), s of shape (1, H, W) per group.

    As the norm has one channel per group, the mean of x1 is its bias: the first
    softmax does not depend on the image (uniform at the start). The source has it so.

    The gate is computed in the precision of the weights, also under autocast.

    Args:
        channels: Channels C of the feature.
        groups: Number of channel groups. Defaults to 32.

    Raises:
        ValueError: If ``groups`` does not divide ``channels``.
    """

    def __init__(self, channels: int, groups: int = 32) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ValueError(
                f'BranchAttention: {channels} channels cannot be split into {groups} '
                f'groups: choose a divisor of {channels}, e.g. '
                f'{math.gcd(channels, groups)}'
            )
        self.groups = groups
        width = channels // groups
        self.gn = nn.GroupNorm(width, width)
        self.conv1x1 = nn.Conv2d(width, width, 1)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Gate a feature.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W), of the same type.
        """
        batch, channels, height, width = x.shape
        grouped = x.reshape(batch * self.groups, -1, height, width)
        with full_precision(x.device):
            gate = self._logit(grouped.to(self.conv1x1.weight.dtype)).sigmoid()
        gated = grouped * gate.to(x.dtype)
        return gated.reshape(batch, channels, height, width)

    def _logit(self, x: Tensor) -> Tensor:
        """Return s (B * G, 1, H, W) of the grouped feature (B * G, n, H, W)."""
        height, width = x.shape[2:]
        # the source's own operations: a mean differs in the last bits
        rows = F.adaptive_avg_pool2d(x, (height, 1))
        columns = F.adaptive_avg_pool2d(x, (1, width))
        both = self.conv1x1(torch.cat([rows, columns.transpose(2, 3)], dim=2))
        rows, columns = both.split([height, width], dim=2)
        x1 = self.gn(x * rows.sigmoid() * columns.transpose(2, 3).sigmoid())
        x2 = self.conv3x3(x)
        a1, a2 = (
            F.adaptive_avg_pool2d(f, 1).flatten(2).transpose(1, 2).softmax(-1)
            for f in (x1, x2)
        )
        s = a1 @ x2.flatten(2) + a2 @ x1.flatten(2)
        return s.reshape(-1, 1, height, width)


@MODELS.register_module()
class BranchAttentionSepASPPHead(DepthwiseSeparableASPPHead):
    """mmseg's DeepLabV3+ head with branch attention on the ASPP's branches.

    The second network of BST where the first has mmseg's
    ``DepthwiseSeparableASPPHead``; the released code's own head is
    :class:`DeepLabV3PlusHead`. The attention sees the concatenated branches (image
    pool first, as mmseg orders them) before the bottleneck.

    Args:
        attention_groups: Channel groups of the attention, a divisor of
            (len(dilations) + 1) * channels. Defaults to 32.
        **kwargs: As for mmseg's ``DepthwiseSeparableASPPHead``.

    Raises:
        ValueError: If the groups do not divide the channels.
    """

    def __init__(self, *, attention_groups: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        width = (len(self.dilations) + 1) * self.channels
        self.attention = BranchAttention(width, attention_groups)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the scores (B, C, h, w), at the low-level feature's size."""
        x = self._transform_inputs(inputs)
        pooled = self._resize(self.image_pool(x), x)
        branches = torch.cat([pooled, *self.aspp_modules(x)], dim=1)
        x = self.bottleneck(self.attention(branches))
        if self.c1_bottleneck is not None:
            low = self.c1_bottleneck(inputs[0])
            x = torch.cat([self._resize(x, low), low], dim=1)
        return self.cls_seg(self.sep_bottleneck(x))

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(
            x, size=like.shape[2:], mode='bilinear', align_corners=self.align_corners
        )
