"""Heads that classify images by their tags, and say where each class is."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsemi.models.backbones.conformer_cam import attention_affinity
from mmsemi.models.utils._common import as_float, full_precision
from mmsemi.registry import MODELS


@MODELS.register_module()
class CamHead(BaseModule):
    """PSA's head: dropped channels, global mean, one 1x1 convolution without bias.

    `AffinityNet <https://arxiv.org/abs/1803.10464>`_. The activation map of a class
    is the same convolution on the whole feature, less its negative values.

    ``affinity_channels`` adds what AVC's consistency term needs on a network without
    attention, an extension of our own: the affinity of two positions is the cosine of
    their features, projected by a 1x1 convolution, where it is above 0.

    Args:
        in_channels: Channels D of the feature.
        num_classes: Number C of object classes, without background.
        in_index: Which of the backbone's outputs. Defaults to -1.
        dropout_ratio: Share of channels dropped. Defaults to 0.5.
        affinity_channels: Of the projection; 0: no affinity. Defaults to 0.
        affinity_stride: The feature is averaged over squares of so many positions
            before, since the affinity has the square of their number. Defaults to 1.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        in_index: int = -1,
        dropout_ratio: float = 0.5,
        affinity_channels: int = 0,
        affinity_stride: int = 1,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='Xavier', layer='Conv2d')
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.in_index = in_index
        self.dropout = nn.Dropout2d(dropout_ratio)
        self.classifier = nn.Conv2d(in_channels, num_classes, 1, bias=False)
        self.affinity_stride = affinity_stride
        self.has_affinity = affinity_channels > 0
        if self.has_affinity:
            self.projection = nn.Conv2d(in_channels, affinity_channels, 1, bias=False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the scores (B, C) of features (B, D, h, w)."""
        pooled = self.dropout(self._read(features)).mean((2, 3), keepdim=True)
        return self.classifier(pooled).flatten(1)

    def cam(self, features: Sequence[Tensor]) -> Tensor:
        """Return the activation maps (B, C, h, w), at least 0."""
        return self.classifier(self._read(features)).relu()

    def affinity(self, features: Sequence[Tensor]) -> tuple[Tensor, tuple[int, int]]:
        """Return how much positions belong together.

        Returns:
            (B, N, N), at least 0, float32, and the height and width whose product is
            N, row by row.
        """
        feature = self._read(features)
        if self.affinity_stride > 1:
            feature = F.avg_pool2d(feature, self.affinity_stride, ceil_mode=True)
        vectors = as_float(self.projection(feature)).flatten(2)
        vectors = F.normalize(vectors, dim=1, eps=1e-6)
        with full_precision(vectors.device):
            affinity = torch.einsum('bdn,bdm->bnm', vectors, vectors).relu()
        return affinity, (feature.shape[2], feature.shape[3])

    def _read(self, features: Sequence[Tensor] | Tensor) -> Tensor:
        """Return the feature (B, D, h, w), which may be a backbone's only output."""
        several = not isinstance(features, Tensor)
        feature = features[self.in_index] if several else features
        if not isinstance(feature, Tensor) or feature.dim() != 4:
            raise TypeError(
                f'CamHead read a {type(feature).__name__} at in_index={self.in_index}, '
                'but it classifies maps (B, D, h, w): use another in_index or backbone'
            )
        return feature


@MODELS.register_module()
class ConformerCamHead(BaseModule):
    """TransCAM's two classifiers, of the map and of the class token.

    `TransCAM <https://arxiv.org/abs/2203.07239>`_: a 3x3 convolution on Conformer's
    map, whose global mean are scores, and a linear layer on its class token. The loss
    is one, of the sum of both. The activation maps are those of the convolution, and
    the affinity is the attention among the patches: the mean over the heads, summed
    over the layers.

    The released code has an output for the background that nothing trains; here
    there is none.

    Args:
        in_channels: Channels of the map and of the tokens. Defaults to those of
            Conformer-S, (1024, 384).
        num_classes: Number C of object classes, without background.
        layers: Which layers' attention is summed. By default all.
    """

    has_affinity = True

    def __init__(
        self,
        num_classes: int,
        in_channels: tuple[int, int] = (1024, 384),
        layers: Sequence[int] | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02)
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.layers = layers
        self.conv_cls_head = nn.Conv2d(in_channels[0], num_classes, 3, padding=1)
        self.trans_cls_head = nn.Linear(in_channels[1], num_classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the sum of both scores (B, C).

        Args:
            features: Map (B, D, h, w), tokens (B, 1 + N, E), and queries and keys, of
                :class:`ConformerCam`.
        """
        if len(features) != 3 or features[1].dim() != 3:
            raise TypeError(
                'ConformerCamHead reads maps, tokens and attention, which the backbone '
                'does not give: use ConformerCam, or CamHead for this backbone'
            )
        maps = self.conv_cls_head(features[0])
        return maps.mean((2, 3)) + self.trans_cls_head(features[1][:, 0])

    def cam(self, features: Sequence[Tensor]) -> Tensor:
        """Return the activation maps (B, C, h, w), of either sign."""
        return self.conv_cls_head(features[0])

    def affinity(self, features: Sequence[Tensor]) -> tuple[Tensor, tuple[int, int]]:
        """Return the attention among patches; as :meth:`CamHead.affinity`."""
        size = features[0].shape[2], features[0].shape[3]
        return attention_affinity(features[2], self.layers), size
