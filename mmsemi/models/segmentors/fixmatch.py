"""FixMatch for segmentation."""

from typing import Any

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
from mmsemi.models.utils.hard_label import hard_label, masked_cross_entropy
from mmsemi.models.utils.loss_weights import weigh_losses
from mmsemi.models.utils.mixing import mix
from mmsemi.registry import MODELS


@MODELS.register_module()
class FixMatch(SemiBaseSegmentor):
    """FixMatch, as UniMatch's paper carries it over to segmentation.

    `FixMatch <https://arxiv.org/abs/2001.07685>`_ and `Revisiting Weak-to-Strong
    Consistency <https://arxiv.org/abs/2208.09910>`_, section 3.1. The network labels
    the weak view of an unlabelled image; where it is confident, it learns that label
    on a strong view of the same crop, mixed by CutMix. There is one network: no
    moving average labels.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> branches ``sup``,
    ``unsup_teacher`` (weak), ``unsup_student`` (strong) -> :meth:`loss`. No teacher, so
    no MeanTeacherHook.

    As released: labelled and weak images go through the network in one forward in
    train mode, which also gives the labels; the strong ones in another; the loss is a
    sum over the confident pixels, over the number of real pixels.

    Differences from the released code: CutMix pastes the next image of the batch (the
    code another crop of the same image), whose label comes from the same forward (the
    code's from one more, in eval mode); dropout in the head is active where labels are
    made (the code's network has none).

    Args:
        threshold: Least probability of a pseudo-label (tau), in [0, 1]. Defaults to
            0.95; the released code has 0 on Cityscapes.
        unsup_weight: Factor of the unsupervised loss. Defaults to 1.
        cutmix_prob: Probability that an image is pasted into. Defaults to 0.5.
        predict_on: ``'student'``.
        **kwargs: ``segmentor``, ``data_preprocessor`` of :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: A value is outside its range.
    """

    branches = ('sup', 'unsup_teacher', 'unsup_student')
    followers = ()

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        unsup_weight: float = 1.0,
        cutmix_prob: float = 0.5,
        predict_on: str = 'student',
        **kwargs: Any,
    ) -> None:
        super().__init__(predict_on=predict_on, **kwargs)
        check_range('[0, 1]', threshold=threshold, cutmix_prob=cutmix_prob)
        check_range('[0, inf)', unsup_weight=unsup_weight)
        self.threshold = threshold
        self.unsup_weight = unsup_weight
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
        strong, samples = inputs['unsup_student'], data_samples['sup']
        valid = stack_valid(data_samples['unsup_teacher'])
        size = weak.shape[-2], weak.shape[-1]

        # 1. One forward of labelled and weak images; supervised loss L_s
        features = self.student.extract_feat(join_images(sup, weak))
        outputs = decode(self.student, features)
        losses = supervised_losses(self.student, features, outputs, samples)

        # 2. Pseudo-labels and confidence max(p^w) of the weak views
        scores = final_scores(self.student, outputs)[len(sup) :].detach().float()
        label, confidence = hard_label(self.upsample(scores, size))

        # 3. CutMix of images, labels, confidence and validity with one mask
        mask = random_box_mask(
            len(weak), size, prob=self.cutmix_prob, device=weak.device
        )
        strong, label, confidence, valid = (
            mix(x, mask) for x in (strong, label, confidence, valid)
        )

        # 4. L_u: the strong views, where the label is confident
        scores = self.student(strong, mode='tensor').float()
        confident = valid & (confidence >= self.threshold)
        loss_unsup = masked_cross_entropy(
            self.upsample(scores, size), label, confident, valid
        )

        # 5. (L_s + L_u) / 2
        losses = weigh_losses(add_prefix(losses, 'sup'), 0.5)
        losses['loss_unsup'] = 0.5 * self.unsup_weight * loss_unsup
        losses['confident_ratio'] = confident.sum() / valid.sum().clamp_min(1)
        return losses
