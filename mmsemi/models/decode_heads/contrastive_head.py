"""A representation beside the class scores, on any mmseg decode head."""

from functools import cache
from typing import Any, Protocol, runtime_checkable

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmsemi.registry import MODELS


@runtime_checkable
class RepresentationHead(Protocol):
    """A decode head that also gives a representation of each pixel."""

    def forward_with_representation(
        self, inputs: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Decode backbone features.

        Returns:
            Scores (B, C, h, w) and representation (B, D, h, w).
        """


@cache
def contrastive_head_class(head_class: type[BaseDecodeHead]) -> type[BaseDecodeHead]:
    """Derive the class that adds a projector to a decode head.

    The projector (1x1 conv, norm, activation, 1x1 conv) stands on the feature
    that the head gives to its own classifier, so the head computes what it
    always did, and its parameters keep their names: the exported student is a
    plain mmseg model.

    Args:
        head_class: A decode head that calls ``cls_seg(feature)``, as mmseg's
            heads do.
    """

    class Contrastive(head_class):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, rep_channels: int = 256, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            channels = self.conv_seg.in_channels
            self.projector = nn.Sequential(
                ConvModule(
                    channels,
                    channels,
                    1,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                ),
                nn.Conv2d(channels, rep_channels, 1),
            )
            self._feature: Tensor | None = None

        def cls_seg(self, feat: Tensor) -> Tensor:
            self._feature = feat
            return super().cls_seg(feat)

        def forward_with_representation(
            self, inputs: list[Tensor]
        ) -> tuple[Tensor, Tensor]:
            logits = self(inputs)
            feature, self._feature = self._feature, None
            if feature is None:
                raise TypeError(
                    f'{head_class.__name__} never calls cls_seg(), so it has no '
                    'feature to project: use a decode head that does'
                )
            return logits, self.projector(feature)

    Contrastive.__name__ = f'Contrastive{head_class.__name__}'
    return Contrastive


@MODELS.register_module(name='ContrastiveHead')
def build_contrastive_head(*, head: dict, rep_channels: int = 256) -> BaseDecodeHead:
    """Build a decode head with a representation projector.

    Args:
        head: Config of any mmseg decode head.
        rep_channels: Channels D of the representation. Defaults to 256.

    Returns:
        The head, with ``forward_with_representation``.
    """
    cfg = {**head, 'rep_channels': rep_channels}
    head_class = (
        MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    )
    if head_class is None:
        raise KeyError(f'decode head {cfg["type"]!r} is not in the registry of models')
    cfg['type'] = contrastive_head_class(head_class)
    return MODELS.build(cfg)
