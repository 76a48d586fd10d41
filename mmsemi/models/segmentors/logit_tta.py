"""Test-time augmentation that averages scores, and sharpens the result."""

from typing import Any

import mmcv
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.utils import SampleList

from mmsemi.models.utils.dense_crf import dense_crf
from mmsemi.registry import MODELS


@MODELS.register_module()
class LogitTTAModel(BaseTTAModel):
    """Average the scores of all views, then one softmax.

    mmseg's ``SegTTAModel`` averages probabilities. AVC and its family (DeepLab on
    PASCAL VOC) average the scores, each resized to the image, and run a dense CRF on
    the softmax of the mean.

    Args:
        crf: Arguments of :func:`mmsemi.models.utils.dense_crf.dense_crf`, e.g.
            ``dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8))``, AVC's. By
            default no CRF.
        **kwargs: ``module`` and ``data_preprocessor``, as mmengine gives them.
    """

    def __init__(self, *, crf: dict | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.crf = crf

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Return one sample of each image, from those of its views.

        Its ``seg_logits`` are the probabilities (C, H, W).
        """
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: SampleList) -> Any:
        scores = torch.stack([view.seg_logits.data.float() for view in views])
        prob = scores.mean(0).softmax(0)
        sample = views[0]
        if self.crf is not None:
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            prob = dense_crf(image, prob, **self.crf)
        sample.seg_logits = PixelData(data=prob)
        sample.pred_sem_seg = PixelData(data=prob.argmax(0, keepdim=True))
        return sample
