"""UniMatch: perturbed features and two strong views."""

from typing import Any

import torch
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.checks import check_range
from mmsemi.models.decode_heads.decoding import (
    decode,
    final_scores,
    supervised_losses,
)
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor
from mmsemi.models.utils.batches import join_images, stack_valid
from mmsemi.models.utils.cutmix_masks import random_box_mask
from mmsemi.models.utils.feature_dropout import append_perturbed
from mmsemi.models.utils.hard_label import hard_label, masked_cross_entropy
from mmsemi.models.utils.loss_weights import weigh_losses
from mmsemi.models.utils.mixing import mix
from mmsemi.registry import MODELS


@MODELS.register_module()
class UniMatch(SemiBaseSegmentor):
    """UniMatch, `Revisiting Weak-to-Strong Consistency in Semi-Supervised Segmentation.

    <https://arxiv.org/abs/2208.09910>`_. FixMatch with more perturbations for one
    label: the network labels the weak view of an unlabelled image, and learns the
    confident labels on two strong views and on the weak view's features with half of
    their channels dropped.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> branches ``sup``,
    ``unsup_teacher`` (weak), ``unsup_student``, ``unsup_student2`` (strong) ->
    :meth:`loss`. One network: no teacher, so no MeanTeacherHook.

    As released: labelled and weak images go through the network in one forward in
    train mode, and the decoder sees the perturbed features with the clean ones; both
    strong views go through it in another forward; each term is a sum over the
    confident pixels, over the number of real pixels. Channels are dropped at every
    level that the decoder is given, after the neck where there is one.

    Differences from the released code: CutMix pastes the next image of the batch (the
    code another crop of the same image), whose label comes from the same forward (the
    code's from one more, in eval mode); labelled images have no perturbed copy, which
    the code makes and does not use (only batch statistics see it); dropout in the
    head is active where labels are made (the code's network has none).

    Args:
        threshold: Least probability of a pseudo-label (tau), in [0, 1]. Defaults to
            0.95; the released code has 0 on Cityscapes.
        feature_weight: Weight of the perturbed features (lambda). Defaults to 0.5.
        image_weight: Weight of both strong views together (mu). Defaults to 0.5.
        feature_dropout: Share of the channels that is dropped, in [0, 1). Defaults
            to 0.5.
        cutmix_prob: Probability that an image is pasted into, in each strong view by
            itself. Defaults to 0.5.
        predict_on: ``'student'``.
        **kwargs: ``segmentor``, ``data_preprocessor`` of :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: A value is outside its range.
    """

    branches = ('sup', 'unsup_teacher', 'unsup_student', 'unsup_student2')
    followers = ()

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        feature_weight: float = 0.5,
        image_weight: float = 0.5,
        feature_dropout: float = 0.5,
        cutmix_prob: float = 0.5,
        predict_on: str = 'student',
        **kwargs: Any,
    ) -> None:
        super().__init__(predict_on=predict_on, **kwargs)
        check_range('[0, 1]', threshold=threshold, cutmix_prob=cutmix_prob)
        check_range('[0, 1)', feature_dropout=feature_dropout)
        check_range(
            '[0, inf)', feature_weight=feature_weight, image_weight=image_weight
        )
        self.threshold = threshold
        self.feature_weight = feature_weight
        self.image_weight = image_weight
        self.feature_dropout = feature_dropout
        self.cutmix_prob = cutmix_prob

    def _build_networks(self, *segmentors: dict) -> None:
        (segmentor,) = segmentors
        self.student = MODELS.build(segmentor)

    def networks(self) -> dict[str, Any]:
        """Return the one network."""
        return {'student': self.student}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step: (L_s + L_u) / 2."""
        sup, weak = inputs['sup'], inputs['unsup_teacher']
        valid = stack_valid(data_samples['unsup_teacher'])
        n, size = len(sup), (weak.shape[-2], weak.shape[-1])

        # 1. One encoding of labelled and weak images, one decoding of it and of the
        #    weak views' perturbed features, p^w and p^fp; supervised loss L_s
        features = self.student.extract_feat(join_images(sup, weak))
        outputs = decode(
            self.student, append_perturbed(features, n, self.feature_dropout)
        )
        samples = data_samples['sup']
        losses = supervised_losses(self.student, features, outputs, samples)
        scores = final_scores(self.student, outputs)[n:].float()
        scores_w, scores_fp = self.upsample(scores, size).chunk(2)

        # 2. Pseudo-labels and confidence max(p^w) of the weak views
        label, confidence = hard_label(scores_w)
        confident = valid & (confidence >= self.threshold)

        # 3. L_u of the perturbed features p^fp
        loss_features = masked_cross_entropy(scores_fp, label, confident, valid)

        # 4. Two strong views, each with a CutMix of its own: p^s1, p^s2
        mixed = [
            self._mix(strong, label, confident, valid)
            for strong in (inputs['unsup_student'], inputs['unsup_student2'])
        ]
        strong, *targets = (torch.cat(both) for both in zip(*mixed, strict=True))
        scores = self.upsample(self.student(strong, mode='tensor').float(), size)
        views = (part.chunk(2) for part in (scores, *targets))
        loss_1, loss_2 = (
            masked_cross_entropy(*view) for view in zip(*views, strict=True)
        )

        # 5. L_u of all, weighted by lambda and mu; (L_s + L_u) / 2
        losses = weigh_losses(add_prefix(losses, 'sup'), 0.5)
        losses['loss_features'] = 0.5 * self.feature_weight * loss_features
        losses['loss_images'] = 0.5 * self.image_weight * (loss_1 + loss_2) / 2
        losses['confident_ratio'] = confident.sum() / valid.sum().clamp_min(1)
        return losses

    def _mix(self, *maps: Tensor) -> list[Tensor]:
        """Mix images (B, 3, H, W) and maps (B, H, W) with one new mask."""
        images = maps[0]
        size = images.shape[-2], images.shape[-1]
        mask = random_box_mask(
            len(images), size, prob=self.cutmix_prob, device=images.device
        )
        return [mix(x, mask) for x in maps]
