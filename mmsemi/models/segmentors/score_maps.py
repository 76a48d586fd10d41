"""Any mmseg segmentor, made to return one map of class scores."""

from functools import cache
from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads import PointHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from mmsemi.models.utils.scores import list_heads, main_scores
from mmsemi.registry import MODELS

# What has no map of class scores, and why.
NO_SCORES = {
    'DepthEstimator': 'predicts depths and not classes',
    'MultimodalEncoderDecoder': 'predicts masks and matches them with class names',
    'SideAdapterCLIPHead': 'predicts masks and a class for each of them',
    'MaskFormerHead': 'predicts masks and a class for each of them',
    'Mask2FormerHead': 'predicts masks and a class for each of them',
}


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
            *first, last = list_heads(self.decode_head)
            if not (first and isinstance(last, PointHead)):
                return main_scores(last, super()._forward(inputs, data_samples))
            features = self.extract_feat(inputs)
            previous: tuple[Tensor, ...] = ()
            for head in first:
                previous = (main_scores(head, head(features, *previous)),)
            return previous[0]

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
    kind = _resolve(segmentor)
    heads = list_heads(segmentor.get('decode_head'))
    # U2PL's ContrastiveHead holds the config of another
    for part in [kind, *(_resolve(head.get('head', head)) for head in heads if head)]:
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


def is_plain(data_preprocessor: dict) -> bool:
    """Whether the config of a preprocessor is that of mmseg's, for one branch."""
    kind = _resolve(data_preprocessor)
    return isinstance(kind, type) and issubclass(kind, SegDataPreProcessor)


def _resolve(config: dict) -> Any:
    """Return the class that a config names, None if there is none."""
    kind = config.get('type')
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(config.get('_scope_')) as registry:
        return registry.get(kind)
