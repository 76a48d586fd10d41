"""A segmentor taken apart: features, outputs of its heads, losses."""

from typing import Any

from mmseg.models.decode_heads import PointHead
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.models.decode_heads.contrastive_head import score_heads
from mmsemi.models.utils.scores import list_heads, main_scores


def decode(segmentor: Any, features: Any) -> list[Any]:
    """Run the decode heads of a segmentor on features of its backbone.

    The images of several forwards can so be decoded together, and one output serves
    the supervised loss and the pseudo-labels.

    Args:
        segmentor: An ``EncoderDecoder``, or ``CascadeEncoderDecoder``, each of whose
            heads is given the output of the head before.
        features: What ``segmentor.extract_feat`` returned for B images.

    Returns:
        The output of each head that gives a map of scores, for B images; PointRend's
        head gives none. :func:`final_scores` finds in them those that predict.
    """
    outputs: list[Any] = []
    previous: list[Tensor] = []
    for head in score_heads(segmentor):
        outputs.append(head(features, *previous))
        previous = [main_scores(head, outputs[-1])]
    return outputs


def supervised_losses(
    segmentor: Any, features: Any, outputs: list[Any], data_samples: SampleList
) -> dict[str, Tensor]:
    """Compute mmseg's own losses on the labelled images, the first of the batch.

    Args:
        segmentor: The segmentor.
        features: Features of B images.
        outputs: Those of :func:`decode`.
        data_samples: Samples of the first n images.

    Returns:
        The losses of the decode heads and of the auxiliary heads under mmseg's names:
        ``decode.…`` (``decode_0.…`` in a cascade), ``aux.…``.
    """
    n = len(data_samples)
    features = _first(features, n)
    heads = list_heads(segmentor.decode_head)
    losses: dict[str, Tensor] = {}
    for i, head in enumerate(heads):
        if isinstance(head, PointHead):
            scores = main_scores(heads[i - 1], outputs[i - 1])[:n]
            found = head.loss(features, scores, data_samples, segmentor.train_cfg)
        else:
            found = head.loss_by_feat(_first(outputs[i], n), data_samples)
        losses |= add_prefix(found, 'decode' if len(heads) == 1 else f'decode_{i}')
    if segmentor.with_auxiliary_head:
        losses |= segmentor._auxiliary_head_forward_train(features, data_samples)
    return losses


def _first(output: Any, n: int) -> Any:
    """Take the first n images of a tensor, or of each in a list or tuple."""
    if isinstance(output, Tensor):
        return output[:n]
    return type(output)(_first(part, n) for part in output)
