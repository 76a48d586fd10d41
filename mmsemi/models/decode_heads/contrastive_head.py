"""A representation beside the class scores, on any mmseg decode head."""

import copy
from functools import cache
from typing import Any, Protocol

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import SampleList, add_prefix
from torch import Tensor, nn

from mmsemi.registry import MODELS


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
            if not hasattr(self, 'conv_seg'):
                raise ValueError(
                    f'{head_class.__name__} has no conv_seg, so it has no feature to '
                    'project: use a decode head that classifies with cls_seg()'
                )
            channels = self.conv_seg.in_channels
            conv = ConvModule(
                channels, channels, 1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
            )
            last = nn.Conv2d(channels, rep_channels, 1)
            self.projector = nn.Sequential(conv, last)
            self.rep_channels = rep_channels
            # a list only while forward_with_representation() runs: a feature that
            # stayed would keep its graph alive and could not be deepcopied
            self._seen: list[Tensor] | None = None

        def cls_seg(self, feat: Tensor) -> Tensor:
            if self._seen is not None:
                self._seen.append(feat)
            return super().cls_seg(feat)

        def forward_with_representation(
            self, inputs: list[Tensor], *previous: Tensor
        ) -> tuple[Tensor, Tensor]:
            seen: list[Tensor] = []
            self._seen = seen
            try:
                scores = self(inputs, *previous)
            finally:
                self._seen = None
            if len(seen) != 1 or not isinstance(scores, Tensor):
                raise TypeError(
                    f'{head_class.__name__} called cls_seg() {len(seen)} times and '
                    f'gave a {type(scores).__name__}: a contrastive head needs one '
                    'call and one tensor of scores, use another decode head'
                )
            return scores, self.projector(seen[0])

    Contrastive.__name__ = f'Contrastive{head_class.__name__}'
    return Contrastive


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
    head_class = _head_class(head)
    if head_class is None:
        raise KeyError(f'decode head {head["type"]!r} is not in the registry of models')
    kind = contrastive_head_class(head_class)
    return MODELS.build({**head, 'type': kind, 'rep_channels': rep_channels})


def with_representation(segmentor: dict, rep_channels: int) -> dict:
    """Return a segmentor's config whose decode head gives a representation.

    In a cascade that is the last head, the one that predicts. A head that
    gives one already (:class:`U2PLHead`, ``ContrastiveHead``) stays as it is.

    Args:
        segmentor: Config of an mmseg segmentor, not changed.
        rep_channels: Channels D of a projector that is added.
    """
    segmentor = copy.deepcopy(segmentor)
    heads = segmentor['decode_head']
    cascade = isinstance(heads, (list, tuple))
    last = heads[-1] if cascade else heads
    kind = _head_class(last)
    if kind is build_contrastive_head or hasattr(kind, 'forward_with_representation'):
        return segmentor
    last = dict(type=build_contrastive_head, head=last, rep_channels=rep_channels)
    segmentor['decode_head'] = [*heads[:-1], last] if cascade else last
    return segmentor


def _head_class(head: dict) -> Any:
    kind = head['type']
    return MODELS.get(kind) if isinstance(kind, str) else kind


def represent(
    segmentor: Any, images: Tensor
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Run a segmentor whose decode head, or last of a cascade, gives a representation.

    Args:
        segmentor: The segmentor.
        images: (B, 3, H, W).

    Returns:
        The backbone's features; scores (B, C, h, w) of each decode head, float32, of
        which the last predict; representation (B, D, h, w).
    """
    features = segmentor.extract_feat(images)
    *first, last = list_heads(segmentor.decode_head)
    scores: list[Tensor] = []
    for head in first:
        scores.append(head(features, *scores[-1:]))
    final, rep = last.forward_with_representation(features, *scores[-1:])
    return features, [score.float() for score in (*scores, final)], rep


def decode_losses(
    decode_head: Any, scores: list[Tensor], data_samples: SampleList
) -> dict[str, Tensor]:
    """Compute the losses of a decode head, or a cascade of them, from its scores.

    Args:
        decode_head: A decode head, or a list of them.
        scores: Scores (B, C, h, w) of each head.
        data_samples: The samples of the first images of the batch, which count.

    Returns:
        The losses under mmseg's names, ``decode.…`` or ``decode_0.…``.
    """
    heads, n, losses = list_heads(decode_head), len(data_samples), {}
    for i, (head, score) in enumerate(zip(heads, scores, strict=True)):
        name = 'decode' if len(heads) == 1 else f'decode_{i}'
        losses.update(add_prefix(head.loss_by_feat(score[:n], data_samples), name))
    return losses


def list_heads(decode_head: Any) -> list[Any]:
    """Return the heads of a cascade, or the one head, as a list."""
    return (
        list(decode_head) if isinstance(decode_head, nn.ModuleList) else [decode_head]
    )
