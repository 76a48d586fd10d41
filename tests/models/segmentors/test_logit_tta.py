"""The mean of scores over views, and the CRF after it."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

from mmsemi.models.segmentors.logit_tta import LogitTTAModel
from mmsemi.models.utils.dense_crf import dense_crf


class Stub(nn.Module):
    def test_step(self, data):
        """Stands in for a segmentor."""


@pytest.fixture
def views(tmp_path):
    """Three views of one image of 6 x 8."""
    rng = np.random.default_rng(0)
    path = tmp_path / 'x.png'
    Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).save(path)
    torch.manual_seed(0)
    samples = []
    for _ in range(3):
        sample = SegDataSample(metainfo=dict(img_path=str(path)))
        sample.seg_logits = PixelData(data=5 * torch.randn(2, 6, 8))
        sample.gt_sem_seg = PixelData(data=torch.ones(1, 6, 8))
        samples.append(sample)
    return samples


def mean_scores(views):
    total = sum(view.seg_logits.data for view in views)
    return (total / len(views)).softmax(0)


def test_scores_are_averaged(views):
    prob = mean_scores(views)
    other = sum(v.seg_logits.data.softmax(0) for v in views).argmax(0)
    (sample,) = LogitTTAModel(module=Stub()).merge_preds([views])
    torch.testing.assert_close(sample.seg_logits.data, prob)
    assert (sample.pred_sem_seg.data[0] == prob.argmax(0)).all()
    # mmseg's mean of probabilities is another map
    assert (sample.pred_sem_seg.data[0] != other).any()
    assert sample.gt_sem_seg.data.all()


def test_crf_on_the_rgb_image(views):
    prob = mean_scores(views)
    settings = dict(iterations=2, gauss=(1, 2), bilateral=(4, 40, 3), backend='numpy')
    rgb = np.array(Image.open(views[0].img_path))
    wanted = dense_crf(rgb, prob, **settings)
    model = LogitTTAModel(module=Stub(), crf=settings)
    (sample,) = model.merge_preds([views])
    torch.testing.assert_close(sample.seg_logits.data, wanted)
    assert (sample.pred_sem_seg.data[0] == wanted.argmax(0)).all()
    bgr = dense_crf(rgb[..., ::-1].copy(), prob, **settings)
    assert not torch.allclose(bgr, wanted)
