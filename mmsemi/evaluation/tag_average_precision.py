"""How well image tags are predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmsemi.registry import METRICS


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Compute the area under the curve of precision over recall.

    The mean, over the images that have the class, of the precision among the images
    scored at least as high (PASCAL VOC from 2010 on, without interpolation).

    Args:
        scores: (N,) of one class.
        truth: (N,) bool.

    Returns:
        In [0, 1]; nan if no image has the class.
    """
    order = np.argsort(-scores, kind='stable')
    hits = truth[order]
    if not hits.any():
        return float('nan')
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


@METRICS.register_module()
class TagAveragePrecision(BaseMetric):
    """Mean average precision of image tags, in percent, as ``multi-label/mAP``.

    The name and the value are those of mmpretrain's ``AveragePrecision``, which may be
    taken instead (``type='mmpretrain.AveragePrecision'``); classes without an image
    are left out, and named in the log.

    Data samples have ``pred_score`` (C,) and ``gt_score`` (C,), 1 where the image has
    the class: those of :meth:`mmsemi.models.AVC.predict`.
    """

    default_prefix = 'multi-label'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores and the tags of a batch.

        Raises:
            ValueError: An image has no tags.
        """
        for sample in data_samples:
            if 'gt_score' not in sample:
                raise ValueError(
                    f'{sample.get("img_path", "an image")} of the validation has no '
                    'tags: put LoadImageTags into its pipeline, and end that with '
                    'PackSemiInputs'
                )
            pair = (sample['pred_score'], sample['gt_score'] > 0)
            self.results.append(tuple(value.cpu().numpy() for value in pair))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the mean over the classes.

        Raises:
            ValueError: No image has any class.
        """
        scores, truth = (np.stack(rows) for rows in zip(*results, strict=True))
        found = [
            average_precision(*pair) for pair in zip(scores.T, truth.T, strict=True)
        ]
        if np.isnan(found).all():
            raise ValueError(
                f'none of the {len(results)} images of the validation has a class: '
                'correct their tags'
            )
        return {'mAP': 100 * float(np.nanmean(found))}
