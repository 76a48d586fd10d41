"""LPL: learning pseudo labels from few masks and the tags of all images."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.checks import check_range
from mmsemi.models.decode_heads.decoding import list_heads, refines_points
from mmsemi.models.losses import class_aware_cross_entropy
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor
from mmsemi.models.utils.batches import join_images, stack_labels, stack_valid
from mmsemi.models.utils.running_iou import RunningClassIoU, image_reliability
from mmsemi.models.utils.tags import (
    labels_outside_tags,
    restrict_to_tags,
    stack_tags,
)
from mmsemi.registry import MODELS


@MODELS.register_module()
class LPL(SemiBaseSegmentor):
    """LPL, learning pseudo labels from few masks and many tags.

    `Learning pseudo labels for semi-and-weakly supervised semantic segmentation
    <https://doi.org/10.1016/j.patcog.2022.108925>`_. Few images have masks, all have
    tags. HybridNet learns from the masks and labels the weak images; PseudoNet learns
    from the weak images alone, so that its accuracy on the masks measures their labels
    (nearly: the few weak images that have a mask are labelled by it). The more
    accurate PseudoNet is on the classes of an image, the more HybridNet learns from
    PseudoNet's labels in turn. No softmax here goes beyond the tags of the image.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> LoadImageTags -> branches
    ``sup`` (strong augmentation) and ``weak`` (crop only) -> :meth:`loss`. No teacher,
    so no MeanTeacherHook; no time, so no SetIterHook. The weak part holds all images:
    those of it that come with a mask (``ConcatDataset`` of the unlabelled images and
    the labelled ones) are labelled by it instead of by a network.

    Differences: the paper could not be had, and this follows the released code
    (https://github.com/YudeWang/Learning-Pseudo-Label), in whose order :meth:`loss`
    is. Four of its faults are left out, and can be had for a comparison: ``eps``,
    ``zero_iou_as_one``, ``count_void``, ``label_padding``. A fifth, that PseudoNet's
    learning rate never decays, is one of its optimiser; here one optimiser holds both
    networks, which is the same as two, since no gradient crosses between them.

    A plain checkpoint (``load_from``) gives both networks the same weights. One that
    was trained on the masks of s spoils the measure: PseudoNet knows them then.

    Args:
        segmentor: Config of both networks, any mmseg segmentor without auxiliary
            heads. Each is initialised by itself. The head's own loss is not used,
            nor the class weights in it: give ``class_weight``.
        background: Whether class 0 is the background, which is no class of the
            multi-label loss. Defaults to True.
        iou_decay: Weight of the past in the running IoU. Defaults to 0.99.
        reliability_power: Exponent of the image weights. Defaults to 8.
        class_weight: Factor of each class in the class-aware cross entropies, not the
            paper's. Defaults to None: all alike.
        predict_with_tags: Predict the classes that the image is tagged with only;
            the images of validation and test need tags then. Defaults to False.
        eps: 1e-5, as released: see :func:`class_aware_cross_entropy`.
        zero_iou_as_one: As released: see :func:`image_reliability`.
        count_void: As released: see :class:`RunningClassIoU`.
        label_padding: As released: the networks also label each other's padding.
        predict_on: ``'hybrid'`` or ``'pseudo'``. Defaults to ``'hybrid'``.
        data_preprocessor: As in :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If the segmentor has auxiliary heads or is PointRend, or a value is
            outside its range.
    """

    branches = ('sup', 'weak')
    followers = ()

    hybrid: Any
    pseudo: Any
    class_weight: Tensor | None

    def __init__(
        self,
        *,
        segmentor: dict,
        background: bool = True,
        iou_decay: float = 0.99,
        reliability_power: float = 8.0,
        class_weight: Sequence[float] | None = None,
        predict_with_tags: bool = False,
        eps: float | None = None,
        zero_iou_as_one: bool = False,
        count_void: bool = False,
        label_padding: bool = False,
        predict_on: str = 'hybrid',
        data_preprocessor: dict | None = None,
    ) -> None:
        points = any(map(refines_points, list_heads(segmentor.get('decode_head'))))
        if points or segmentor.get('auxiliary_head') is not None:
            raise ValueError(
                "LPL's losses are on the scores of the decode head: set the "
                "segmentor's auxiliary_head=None, and use no PointRend"
            )
        if eps is not None and not eps > 0:
            raise ValueError(f'eps={eps}: give 1e-5 as released, or None')
        check_range('[0, 1)', iou_decay=iou_decay)
        check_range('[0, inf)', reliability_power=reliability_power)
        super().__init__(
            segmentor, data_preprocessor=data_preprocessor, predict_on=predict_on
        )
        self.running_iou = RunningClassIoU(
            self.num_classes, iou_decay, count_void=count_void
        )
        if class_weight is not None and len(class_weight) != self.num_classes:
            raise ValueError(
                f'class_weight lists {len(class_weight)} numbers for '
                f'{self.num_classes} classes: give one for each'
            )
        weights = None if class_weight is None else torch.tensor(class_weight).float()
        self.register_buffer('class_weight', weights, persistent=False)
        self.first_object = int(background)
        self.reliability_power = reliability_power
        self.predict_with_tags = predict_with_tags
        self._said = False
        self.eps = eps
        self.zero_iou_as_one = zero_iou_as_one
        self.label_padding = label_padding

    def _build_networks(self, *segmentors: dict) -> None:
        (segmentor,) = segmentors
        self.hybrid = MODELS.build(copy.deepcopy(segmentor))
        self.pseudo = MODELS.build(segmentor)

    def networks(self) -> dict[str, Any]:
        """Return HybridNet and PseudoNet."""
        return {'hybrid': self.hybrid, 'pseudo': self.pseudo}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step, as lines 153 to 199 of the released train.py.

        With f the scores of a network, y labels and T tags; s are the images of
        ``sup``, w those of ``weak``, and CCE the class-aware cross entropy.
        """
        strong, weak = data_samples['sup'], data_samples['weak']
        s, w = slice(len(strong)), slice(len(strong), None)
        label = stack_labels(strong)
        tags = stack_tags([*strong, *weak], self.num_classes)

        # 1. Both networks on the same images, s and w in one forward.
        images = join_images(inputs['sup'], inputs['weak'])
        f_h, f_p = (self._scores(net, images) for net in self.networks().values())

        # 2. Hard labels, y = argmax over T of f, without gradient (l. 158 to 165).
        y_h, y_p = (
            restrict_to_tags(scores.detach(), tags).argmax(1) for scores in (f_h, f_p)
        )
        cross_h, cross_p = (self._cross_labels(y[w], weak) for y in (y_h, y_p))

        # 3. L_cls: HybridNet's largest score of each class predicts the tags; the only
        #    loss that lowers scores of untagged classes (l. 155, 167).
        image_scores = f_h.amax((2, 3))[:, self.first_object :]
        objects = tags[:, self.first_object :].to(image_scores.dtype)
        losses = {
            'loss_cls_hybrid': F.multilabel_soft_margin_loss(image_scores, objects)
        }

        # 4. L_seg of HybridNet = CCE(f_H(s), masks), and of PseudoNet
        #    = CCE(f_P(w), y_H(w)), which learns nothing from s.
        cce = partial(
            class_aware_cross_entropy, eps=self.eps, class_weight=self.class_weight
        )
        losses['loss_seg_hybrid'] = cce(f_h[s], label, tags[s])
        losses['loss_seg_pseudo'] = cce(f_p[w], cross_h, tags[w])

        # 5. Dynamic evaluation: PseudoNet's running IoU on s (l. 173 to 190).
        self.running_iou.update(y_p[s], label)
        iou = self.running_iou.iou

        # 6. L_pct = mean over all pixels of omega CCE(f_H(w), y_P(w)), with omega
        #    = (min over T of IoU)^8 for each image (l. 193 to 196).
        omega = image_reliability(
            iou, tags[w], self.reliability_power, self.zero_iou_as_one
        )
        cross = cce(f_h[w], cross_p, tags[w], reduction='none')
        losses['loss_pct'] = (omega[:, None, None] * cross).mean()

        # 7. The sum of the four is minimised.
        losses['image_reliability'] = omega.mean()
        losses['running_miou'] = iou.mean()
        losses['outside_tags_ratio'] = (
            labels_outside_tags(label, tags[s]).float().mean()
        )
        return losses

    def _scores(self, network: Any, images: Tensor) -> Tensor:
        """Return the scores (N, C, H, W) at the size of the images, float32."""
        scores = network(images, mode='tensor').float()
        return self.upsample(scores, images.shape[2:])

    def _cross_labels(self, prediction: Tensor, samples: SampleList) -> Tensor:
        """Return what a network teaches the other on the weak images, (b, H, W).

        Their masks where they have one, else the prediction, void on padding.
        """
        if not self.label_padding:
            prediction = prediction.masked_fill(~stack_valid(samples), 255)
        labels = [
            sample.gt_sem_seg.data[0] if 'gt_sem_seg' in sample else own
            for sample, own in zip(samples, prediction, strict=True)
        ]
        return torch.stack(labels)

    def predict(self, inputs: Tensor, data_samples: Any = None) -> SampleList:
        """Predict images (N, 3, H, W) as mmseg does, on ``predict_on``.

        With ``predict_with_tags``, untagged classes get the probability 0.

        Raises:
            ValueError: With ``predict_with_tags``, if an image has no tags.
        """
        if self.predict_with_tags:
            if not self._said:
                print_log(
                    'LPL predicts with tags: untagged classes are excluded, so that '
                    'its metrics are no match for those of a method that sees the '
                    'image alone (predict_with_tags=False)',
                    logger='current',
                )
                self._said = True
            tags = stack_tags(data_samples or [SegDataSample()], self.num_classes)
        results = super().predict(inputs, data_samples)
        if self.predict_with_tags:
            for sample, row in zip(results, tags, strict=True):
                scores = restrict_to_tags(sample.seg_logits.data[None], row[None])[0]
                sample.seg_logits = PixelData(data=scores)
                sample.pred_sem_seg = PixelData(data=scores.argmax(0, keepdim=True))
        return results
