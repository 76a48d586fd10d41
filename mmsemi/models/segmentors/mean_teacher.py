"""Mean Teacher."""

import math
from typing import Any

import torch
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.checks import check_choice, check_range
from mmsemi.models.losses import soft_cross_entropy
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor
from mmsemi.models.utils.batches import stack_valid
from mmsemi.models.utils.lengths import check_length, steps, warn_of_rampup
from mmsemi.models.utils.mixing import cutmix_mask, mix
from mmsemi.registry import MODELS

CONSISTENCIES = ('cross_entropy', 'mse')


@MODELS.register_module()
class MeanTeacher(SemiBaseSegmentor):
    """Mean Teacher, with CutMix as an option (then it is CutMix-Seg).

    `Mean teachers are better role models <https://arxiv.org/abs/1703.01780>`_
    and `Semi-supervised semantic segmentation needs strong, varied
    perturbations <https://arxiv.org/abs/1906.01916>`_. The student sees a
    strong view of an unlabelled image, the teacher, the moving average of the
    student, a weak view of the same crop; the student's class distribution is
    pulled to the teacher's.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> branches ``sup``,
    ``unsup_teacher``, ``unsup_student`` -> :meth:`loss` -> MeanTeacherHook.

    Differences: the papers' consistency is a squared difference of
    probabilities; here it is the soft cross entropy, whose gradient does not
    vanish at the start. ``consistency='mse'`` is the squared difference, its
    mean over the classes as in Mean Teacher; CutMix-Seg sums over them and
    multiplies by the share of pixels above probability 0.97 (with
    ``unsup_weight`` the number of classes, the sum alone).

    The steps of :meth:`loss` name the papers' terms: J (Mean Teacher) and L_cons
    (CutMix-Seg).

    Args:
        unsup_weight: Weight of the consistency term. Defaults to 1.
        rampup_iters: The weight rises over these first steps, or this share of the
            training (between 0 and 1), by the factor exp(-5 (1 - t)^2) of the Mean
            Teacher paper; needs SetIterHook. Defaults to 0.
        consistency: ``'cross_entropy'`` or ``'mse'``.
        cutmix: Paste half of the area from the next image of the batch, in
            the images and in the teacher's predictions. Defaults to False.
        **kwargs: ``segmentor``, ``data_preprocessor``, ``predict_on`` of
            :class:`SemiBaseSegmentor`.
    """

    branches = ('sup', 'unsup_teacher', 'unsup_student')
    needs_mean_teacher = True

    def __init__(
        self,
        *,
        unsup_weight: float = 1.0,
        rampup_iters: float = 0,
        consistency: str = 'cross_entropy',
        cutmix: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_range('[0, inf)', unsup_weight=unsup_weight)
        check_length(rampup_iters, 'rampup_iters')
        check_choice(consistency=(consistency, CONSISTENCIES))
        self.unsup_weight = unsup_weight
        self.rampup_iters = rampup_iters
        self.needs_time = rampup_iters > 0
        self.consistency = consistency
        self.cutmix = cutmix

    def set_iter(self, iteration: int, max_iters: int) -> None:
        """Take the time; before the first step, compare the ramp-up to the length."""
        super().set_iter(iteration, max_iters)
        if iteration == 0:
            warn_of_rampup(self.rampup_iters, max_iters, 'MeanTeacher rampup_iters')

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the supervised and the consistency loss of one step."""
        weak, strong = inputs['unsup_teacher'], inputs['unsup_student']
        valid = stack_valid(data_samples['unsup_teacher'])

        # 1. supervised loss of the labelled images
        losses = add_prefix(
            self.student.loss(inputs['sup'], data_samples['sup']), 'sup'
        )

        # 2. the teacher's class distribution on the weak view: f(x, theta', eta')
        size = weak.shape[-2], weak.shape[-1]
        with torch.no_grad():
            logits = self.teacher(weak, mode='tensor').float()
            target = self.upsample(logits, size).softmax(1)

        # 3. CutMix of images, targets and validity with one mask M: the student sees
        #    mix(x_a, x_b, M), its target is mix(g(x_a), g(x_b), M)
        if self.cutmix:
            mask = cutmix_mask(len(weak), size, device=weak.device)
            strong, target, valid = (mix(x, mask) for x in (strong, target, valid))

        # 4. the student follows on the strong view: J or L_cons, over real pixels
        logits = self.upsample(self.student(strong, mode='tensor').float(), size)
        if self.consistency == 'mse':
            error = (logits.softmax(1) - target).square().mean(1)
            consistency = (error * valid).sum() / valid.sum().clamp(min=1)
        else:
            consistency = soft_cross_entropy(logits, target, valid)
        losses['loss_unsup'] = self._weight() * consistency
        confidence = (target.amax(1) * valid).sum()
        losses['confidence'] = confidence / valid.sum().clamp(min=1)
        return losses

    def _weight(self) -> float:
        """Return the consistency's weight at this step."""
        rampup = steps(self.rampup_iters, self.max_iters, 'rampup_iters')
        t = min(self.iter / rampup, 1) if rampup else 1
        return self.unsup_weight * math.exp(-5 * (1 - t) ** 2)
