"""Mean average precision of tags."""

import math

import numpy as np
import pytest
import torch

from mmsemi.evaluation import TagAveragePrecision, average_precision


def test_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    # hits at places 1 and 3: (1/1 + 2/3) / 2
    truth = np.array([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(average_precision(scores, np.zeros(4, bool)))


def samples(seed=0):
    torch.manual_seed(seed)
    scores, truth = torch.rand(30, 5), (torch.rand(30, 5) < 0.3).float()
    truth[:, 4] = 0
    return [dict(pred_score=s, gt_score=t) for s, t in zip(scores, truth, strict=True)]


def test_as_mmpretrain():
    mmpretrain = pytest.importorskip('mmpretrain.evaluation')
    found = []
    for metric in (TagAveragePrecision(), mmpretrain.AveragePrecision()):
        rows = [
            dict(s, pred_score=s['pred_score'][:4], gt_score=s['gt_score'][:4])
            for s in samples()
        ]
        metric.process(None, rows)
        found.append(metric.evaluate(30))
    assert found[0] == pytest.approx(found[1])
    assert list(found[0]) == ['multi-label/mAP']


def test_class_without_image_is_left_out():
    metric, four = TagAveragePrecision(), TagAveragePrecision()
    metric.process(None, samples())
    four.process(
        None,
        [{k: v[:4] for k, v in s.items()} for s in samples()],
    )
    assert metric.evaluate(30) == four.evaluate(30)


def test_errors():
    metric = TagAveragePrecision()
    with pytest.raises(ValueError, match=r'x.jpg of the validation has no tags'):
        metric.process(None, [dict(pred_score=torch.zeros(2), img_path='x.jpg')])
    metric.process(None, [dict(pred_score=torch.zeros(2), gt_score=torch.zeros(2))])
    with pytest.raises(ValueError, match='none of the 1 images'):
        metric.evaluate(1)
