"""Any mmseg segmentor taken apart: features, outputs of its heads, scores, losses."""

from functools import cache
from typing import Any

import torch
from mmengine.utils import apply_to
from mmseg.models.decode_heads import PointHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.utils import SampleList, add_prefix
from torch import Tensor, nn

from mmsemi.registry import model_class

# Heads whose output of training is not (scores that predict, others, …).
MAIN_OUTPUT = {
    # each of K-Net's stages refines the one before
    'IterativeDecodeHead': -1,
    # PIDNet: proportional, integral, derivative
    'PIDHead': 1,
}

# What has no map of class scores, and why.
NO_SCORES = {
    'DepthEstimator': 'predicts depths and not classes',
    'MultimodalEncoderDecoder': 'predicts masks and matches them with class names',
    'SideAdapterCLIPHead': 'predicts masks and a class for each of them',
    'MaskFormerHead': 'predicts masks and a class for each of them',
    'Mask2FormerHead': 'predicts masks and a class for each of them',
}


def main_scores(head: Any, output: Any) -> Tensor:
    """Return the scores that a head predicts with.

    Some of mmseg's heads return more in training, e.g. ``DAHead`` the scores of its
    two attentions and ``EncHead`` those of the classes in the image.

    Args:
        head: The decode head.
        output: What its ``forward()`` returned.

    Returns:
        (B, C, h, w).

    Raises:
        TypeError: If there are no such scores.
    """
    found = output
    if isinstance(output, (list, tuple)) and output:
        names = [kind.__name__ for kind in type(head).__mro__]
        found = output[next((i for n, i in MAIN_OUTPUT.items() if n in names), 0)]
    if not isinstance(found, Tensor) or found.dim() != 4:
        shape = f' of shape {tuple(found.shape)}' if isinstance(found, Tensor) else ''
        raise TypeError(
            f'{type(head).__name__} gave a {type(found).__name__}{shape}, but the '
            'methods learn from class scores (B, C, h, w) of every pixel: use another '
            'decode head'
        )
    return found


def list_heads(decode_head: Any) -> list[Any]:
    """Return the heads of a cascade, the one head, or their configs, as a list."""
    if decode_head is None:
        return []
    cascade = isinstance(decode_head, (nn.ModuleList, list, tuple))
    return list(decode_head) if cascade else [decode_head]


def refines_points(head: Any) -> bool:
    """Whether a head, or its config, gives scores of single points, as PointRend's."""
    kind = model_class(head) if isinstance(head, dict) else type(head)
    return isinstance(kind, type) and issubclass(kind, PointHead)


def score_heads(segmentor: Any) -> list[Any]:
    """Return the decode heads that give a map of scores.

    Raises:
        TypeError: If the segmentor has no decode head.
    """
    heads = list_heads(getattr(segmentor, 'decode_head', None))
    if not heads:
        raise TypeError(
            f'{type(segmentor).__name__} has no decode_head, but the method trains '
            'features and heads apart: use an EncoderDecoder or CascadeEncoderDecoder'
        )
    return [head for head in heads if not refines_points(head)]


def decode(segmentor: Any, features: Any) -> list[Any]:
    """Run the decode heads of a segmentor on features of its backbone.

    The images of several forwards can so be decoded together, and one output serves
    the supervised loss and the pseudo-labels.

    Args:
        segmentor: An ``EncoderDecoder``, or ``CascadeEncoderDecoder``, each of whose
            heads is given the scores of the head before.
        features: What ``segmentor.extract_feat`` returned for B images.

    Returns:
        The output of each head that gives a map of scores, for B images; PointRend's
        head gives none. :func:`final_scores` finds in them those that predict.
    """
    return _run(score_heads(segmentor), features)[0]


def represent(segmentor: Any, images: Tensor) -> tuple[Any, list[Any], Tensor]:
    """Run a segmentor whose decode head, or last of a cascade, gives a representation.

    Args:
        segmentor: A segmentor that
            :func:`mmsemi.models.decode_heads.contrastive_head.with_representation`
            configured.
        images: (B, 3, H, W).

    Returns:
        The backbone's features; what :func:`decode` returns, float32; the
        representation (B, D, h, w).
    """
    features = segmentor.extract_feat(images)
    *first, last = score_heads(segmentor)
    outputs, previous = _run(first, features)
    final, rep = last.forward_with_representation(features, *previous)
    return features, in_float32([*outputs, final]), rep


def _run(heads: list[Any], features: Any) -> tuple[list[Any], list[Tensor]]:
    """Return the output of each head, and the scores that the next one is given."""
    outputs: list[Any] = []
    previous: list[Tensor] = []
    for head in heads:
        outputs.append(head(features, *previous))
        previous = [main_scores(head, outputs[-1])]
    return outputs, previous


def in_float32(outputs: list[Any]) -> list[Any]:
    """Cast all scores in the outputs of heads, e.g. where autocast made them."""
    return apply_to(outputs, torch.is_tensor, Tensor.float)


def final_scores(segmentor: Any, outputs: list[Any]) -> Tensor:
    """Return the scores (B, C, h, w) that predict, from the outputs of the heads."""
    return main_scores(score_heads(segmentor)[-1], outputs[-1])


def supervised_losses(
    segmentor: Any, features: Any, outputs: list[Any], data_samples: SampleList
) -> dict[str, Tensor]:
    """Compute mmseg's own losses on the labelled images, the first of the batch.

    Args:
        segmentor: The segmentor.
        features: Features of B images.
        outputs: Those of :func:`decode` or :func:`represent`.
        data_samples: Samples of the first n images.

    Returns:
        The losses of the decode heads and of the auxiliary heads under mmseg's names:
        ``decode.…`` (``decode_0.…`` in a cascade), ``aux.…``.
    """
    n = len(data_samples)
    features, outputs = apply_to([features, outputs], torch.is_tensor, lambda x: x[:n])
    heads = list_heads(segmentor.decode_head)
    losses: dict[str, Tensor] = {}
    for i, head in enumerate(heads):
        if refines_points(head):
            scores = main_scores(heads[i - 1], outputs[i - 1])
            found = head.loss(features, scores, data_samples, segmentor.train_cfg)
        else:
            found = head.loss_by_feat(outputs[i], data_samples)
        losses |= add_prefix(found, 'decode' if len(heads) == 1 else f'decode_{i}')
    if segmentor.with_auxiliary_head:
        losses |= segmentor._auxiliary_head_forward_train(features, data_samples)
    return losses


@cache
def score_map_class(kind: type[EncoderDecoder]) -> type[EncoderDecoder]:
    """Derive the class whose ``mode='tensor'`` returns scores (N, C, h, w).

    All else is the segmentor's, and so are the names of its parameters. Of a head that
    returns several tensors these are the scores it predicts with; of PointRend, whose
    last head refines single points of an image that is predicted, those of the head
    before.

    Args:
        kind: ``EncoderDecoder`` or a class derived from it.
    """

    class ScoreMaps(kind):  # type: ignore[misc,valid-type]
        def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
            last = list_heads(self.decode_head)[-1]
            if refines_points(last):
                return final_scores(self, decode(self, self.extract_feat(inputs)))
            return main_scores(last, super()._forward(inputs, data_samples))

    ScoreMaps.__name__ = kind.__name__
    ScoreMaps.__qualname__ = kind.__qualname__
    return ScoreMaps


def with_score_maps(segmentor: dict) -> dict:
    """Return the config of a segmentor that all methods can train.

    Args:
        segmentor: Config of any mmseg segmentor.

    Raises:
        ValueError: If it gives no class scores of every pixel.
    """
    kind = model_class(segmentor)
    heads = list_heads(segmentor.get('decode_head'))
    # U2PL's ContrastiveHead holds the config of another
    for part in [kind, *(model_class(head.get('head', head)) for head in heads)]:
        for base in getattr(part, '__mro__', ()):
            if base.__name__ in NO_SCORES:
                raise ValueError(
                    f'{part.__name__} {NO_SCORES[base.__name__]}, but the methods '
                    'learn from class scores of every pixel: use a segmentor whose '
                    "mode='tensor' gives (N, C, h, w)"
                )
    if isinstance(kind, type) and issubclass(kind, EncoderDecoder):
        return type(segmentor)({**segmentor, 'type': score_map_class(kind)})
    return segmentor
