"""PSA's AffinityNet: which near pixels are of one class."""

from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.models.losses.affinity_loss import affinity_loss
from mmsemi.models.utils.batches import stack_labels
from mmsemi.registry import MODELS


@MODELS.register_module()
class AffinityNet(BaseModel):
    """AffinityNet, the second network of PSA.

    `Learning pixel-level semantic affinity
    <https://arxiv.org/abs/1803.10464>`_. It learns from seeds that are sure, as
    :class:`mmsemi.labeling.CamHook` writes them, which pixels nearer than ``radius``
    are of one class; :class:`mmsemi.labeling.RandomWalkHook` then spreads the seeds.

    Differences: a label of the feature's size is the nearest pixel's (TransCAM; PSA
    takes the mean of the scores over 8x8 pixels, before they are labels); padding is
    unknown instead of background (TransCAM's fault); all pairs count, also those that
    start near the border (see :func:`affinity_pairs`).

    Args:
        backbone: ResNet38.
        head: AffinityHead.
        data_preprocessor: mmseg's ``SegDataPreProcessor``, ``seg_pad_val=255``.
        radius: Pairs are nearer than it, in positions of the feature. Defaults to 5.
    """

    def __init__(
        self, *, backbone: dict, head: dict, data_preprocessor: dict, radius: int = 5
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        self.radius = radius

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """Dispatch to :meth:`loss` or the feature (B, D, h, w)."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.head(self.backbone(inputs))
        raise ValueError(
            f"AffinityNet predicts no classes: mode={mode!r} is not 'loss' or 'tensor'"
        )

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the loss of one step (PSA, Eq. 7), images (B, 3, H, W)."""
        feature = self.head(self.backbone(inputs))
        label = stack_labels(data_samples)[:, None].float()
        label = F.interpolate(label, feature.shape[2:], mode='nearest').long()[:, 0]
        loss = affinity_loss(feature, label, radius=self.radius)
        return dict(loss_affinity=loss)
