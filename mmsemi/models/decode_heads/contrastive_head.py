"""A representation beside the class scores, on any mmseg decode head."""

import copy
from functools import cache
from typing import Any, Protocol

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmsemi.models.decode_heads.decoding import list_heads, refines_points
from mmsemi.registry import MODELS, model_class


class RepresentationHead(Protocol):
    """A decode head that also gives a representation of each pixel."""

    rep_channels: int
    """Channels D of the representation."""

    def forward_with_representation(
        self, inputs: list[Tensor], *previous: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode backbone features.

        Args:
            inputs: The backbone's features.
            *previous: In a cascade, the scores of the head before.

        Returns:
            What ``forward()`` returns, and the representation (B, D, h, w).
        """


@cache
def contrastive_head_class(head_class: type[BaseDecodeHead]) -> type[BaseDecodeHead]:
    """Derive the class that adds a projector to a decode head.

    The projector (1x1 conv, norm, activation, 1x1 conv) stands on the feature
    that the head gives to its own classifier, so the head computes what it
    always did, and its parameters keep their names: the exported student is a
    plain mmseg model. A head without a classifier of its own (Segmenter, K-Net)
    compares features with class embeddings; there the projector stands on the
    features that the head reads, brought to one size.

    Args:
        head_class: A decode head that calls ``cls_seg(feature)``, as mmseg's
            heads do, or that has no ``conv_seg``.
    """

    class Contrastive(head_class):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, rep_channels: int = 256, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            reader = self._reader()
            channels = reader.in_channels
            if hasattr(self, 'conv_seg'):
                channels = self.conv_seg.in_channels
            elif not isinstance(channels, int):
                channels = sum(channels)
            conv = ConvModule(
                channels, channels, 1, norm_cfg=reader.norm_cfg, act_cfg=reader.act_cfg
            )
            last = nn.Conv2d(channels, rep_channels, 1)
            self.projector = nn.Sequential(conv, last)
            self.rep_channels = rep_channels
            # a list only while forward_with_representation() runs: a feature that
            # stayed would keep its graph alive and could not be deepcopied
            self._seen: list[Tensor] | None = None

        def _reader(self) -> BaseDecodeHead:
            """Return the head that reads the features: of K-Net one inside."""
            return getattr(self, 'kernel_generate_head', self)

        def cls_seg(self, feat: Tensor) -> Tensor:
            if self._seen is not None:
                self._seen.append(feat)
            return super().cls_seg(feat)

        def forward_with_representation(
            self, inputs: list[Tensor], *previous: Tensor
        ) -> tuple[Any, Tensor]:
            seen: list[Tensor] = []
            self._seen = seen
            try:
                output = self(inputs, *previous)
            finally:
                self._seen = None
            if not hasattr(self, 'conv_seg'):
                seen = [_read(self._reader(), inputs)]
            parts = output if isinstance(output, (list, tuple)) else [output]
            if len(seen) != 1 or not all(isinstance(part, Tensor) for part in parts):
                raise TypeError(
                    f'{head_class.__name__} called cls_seg() {len(seen)} times and '
                    f'gave a {type(output).__name__}: a contrastive head needs one '
                    'call and tensors of scores, use another decode head'
                )
            return output, self.projector(seen[0])

    Contrastive.__name__ = f'Contrastive{head_class.__name__}'
    return Contrastive


def _read(head: BaseDecodeHead, inputs: list[Tensor]) -> Tensor:
    """Return the features that a head reads, of several levels at the first's size."""
    read = head._transform_inputs(inputs)
    if isinstance(read, Tensor):
        return read
    size = read[0].shape[2:]
    levels = [resize(x, size, None, 'bilinear', head.align_corners) for x in read]
    return torch.cat(levels, dim=1)


@MODELS.register_module(name='ContrastiveHead')
def build_contrastive_head(*, head: dict, rep_channels: int = 256) -> BaseDecodeHead:
    """Build a decode head with a representation projector.

    Args:
        head: Config of any mmseg decode head that classifies with ``cls_seg``.
        rep_channels: Channels D of the representation. Defaults to 256.

    Returns:
        The head, with ``forward_with_representation``.

    Raises:
        KeyError: If the head's type is not registered.
    """
    head_class = model_class(head)
    if head_class is None:
        raise KeyError(f'decode head {head["type"]!r} is not in the registry of models')
    kind = contrastive_head_class(head_class)
    return MODELS.build({**head, 'type': kind, 'rep_channels': rep_channels})


def with_representation(segmentor: dict, rep_channels: int) -> dict:
    """Return a segmentor's config whose decode head gives a representation.

    In a cascade that is the last head with a map of scores, the one that predicts,
    or whose prediction PointRend refines. A head that gives one already
    (:class:`U2PLHead`, ``ContrastiveHead``) stays as it is.

    Args:
        segmentor: Config of an mmseg segmentor, not changed.
        rep_channels: Channels D of a projector that is added.

    Raises:
        ValueError: If the segmentor has no decode head.
    """
    segmentor = copy.deepcopy(segmentor)
    if not segmentor.get('decode_head'):
        raise ValueError(
            f'the segmentor {segmentor.get("type")!r} has no decode_head for the '
            'representation: use an EncoderDecoder or CascadeEncoderDecoder'
        )
    heads = list_heads(segmentor['decode_head'])
    i = len(heads) - 1
    while i and refines_points(heads[i]):
        i -= 1
    kind = model_class(heads[i])
    if kind is build_contrastive_head or hasattr(kind, 'forward_with_representation'):
        return segmentor
    heads[i] = dict(type=build_contrastive_head, head=heads[i])
    heads[i]['rep_channels'] = rep_channels
    cascade = isinstance(segmentor['decode_head'], (list, tuple))
    segmentor['decode_head'] = heads if cascade else heads[0]
    return segmentor
