"""U2PL: semi-supervised segmentation using unreliable pseudo-labels."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.checks import check_choice, check_range
from mmsemi.models.decode_heads.contrastive_head import with_representation
from mmsemi.models.decode_heads.decoding import (
    final_scores,
    represent,
    score_heads,
    supervised_losses,
)
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor
from mmsemi.models.utils import contrast, mixing
from mmsemi.models.utils.batches import (
    join_images,
    resize_nearest,
    stack_labels,
    stack_valid,
)
from mmsemi.models.utils.distributed import all_gather_rows
from mmsemi.models.utils.lengths import check_length
from mmsemi.models.utils.memory_bank import ClassMemoryBank
from mmsemi.models.utils.pseudo_label import (
    drop_unreliable,
    entropy,
    reweighted_cross_entropy,
)
from mmsemi.registry import MODELS

MIXES = ('cutmix', 'classmix', 'cutout', None)


@MODELS.register_module()
class U2PL(SemiBaseSegmentor):
    """U2PL, `Semi-Supervised Semantic Segmentation Using Unreliable Pseudo-Labels.

    <https://arxiv.org/abs/2203.03884>`_. The teacher labels the unlabelled
    images. Pixels of low entropy train the student by cross entropy; pixels
    of high entropy are no label, but they are certainly not of the classes
    the teacher ranks low, and serve as negatives of those classes in a
    contrastive loss with a memory bank per class.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> branches ``sup``,
    ``unsup_teacher`` (and ``unsup_student``, if the student shall see a
    photometric view) -> :meth:`loss` -> SetIterHook, MeanTeacherHook. The
    decode head is any mmseg head (in a cascade, the last), to which a
    representation projector is added, or :class:`U2PLHead`, the paper's.

    Differences: the loss is the paper's and not that of the released code
    (configs/u2pl/README.md lists where that departs from it). Keys are capped
    per class, step and rank; the share of dropped pixels falls per iteration
    and not per epoch; padding is void and not background, and lambda_u is the
    inverse of the kept share of real pixels; one teacher pass instead of two
    (``teacher_passes``).

    Args:
        unsup_weight: Factor of the reliable cross entropy, beside its
            adaptive weight (eta). Defaults to 1.
        contrast_weight: Weight of the contrastive loss (lambda_c). Defaults
            to 0.1.
        unreliable_percent: Share of pixels dropped at the start, in percent
            (alpha_0); falls linearly to 0. Defaults to 20.
        anchor_threshold: Least probability of an anchor's class (delta_p).
            Defaults to 0.3.
        low_rank: r_l, must be below the number of classes. Defaults to 3.
        high_rank: r_h. Defaults to 20.
        num_anchors: Anchors per class (M). Defaults to 50.
        num_negatives: Negatives per anchor (N). Defaults to 256.
        temperature: tau. Defaults to 0.5.
        bank_size: Rows of the memory bank, one number for each class or one
            for all but class 0. Defaults to 30000.
        bank_size_first: Rows of class 0 where ``bank_size`` is one number.
            Defaults to 50000.
        max_keys: Most new rows per class, step and rank. Defaults to 1024.
        rep_channels: Channels of the added projector (D). Defaults to 256.
        mix: ``'cutmix'``, ``'classmix'``, ``'cutout'`` or None.
        mix_prob: Probability of mixing a batch. Defaults to 0.5, as released.
        teacher_passes: 1: one eval pass on labelled and clean unlabelled
            images, its results mixed with the images. 2: as released, labels
            of the clean images in eval mode, the rest of the mixed ones in
            train mode; give ``MeanTeacherHook(buffers='skip')``.
        warmup_iters: Steps at the start on labelled images only, or their share of
            the training (between 0 and 1); let ``MeanTeacherHook.start_iter`` be the
            same. Defaults to 0.
        **kwargs: ``segmentor``, ``data_preprocessor``, ``predict_on`` of
            :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If the ranks do not fit the number of classes, or a value
            is outside its range.
    """

    branches = ('sup', 'unsup_teacher')
    needs_time = True
    needs_mean_teacher = True

    def __init__(
        self,
        *,
        segmentor: dict,
        unsup_weight: float = 1.0,
        contrast_weight: float = 0.1,
        unreliable_percent: float = 20.0,
        anchor_threshold: float = 0.3,
        low_rank: int = 3,
        high_rank: int = 20,
        num_anchors: int = 50,
        num_negatives: int = 256,
        temperature: float = 0.5,
        bank_size: int | list[int] = 30000,
        bank_size_first: int = 50000,
        max_keys: int = 1024,
        rep_channels: int = 256,
        mix: str | None = 'cutmix',
        mix_prob: float = 0.5,
        teacher_passes: int = 1,
        warmup_iters: float = 0,
        **kwargs: Any,
    ) -> None:
        segmentor = with_representation(segmentor, rep_channels)
        super().__init__(segmentor=segmentor, **kwargs)
        check_range('[0, 1]', mix_prob=mix_prob, anchor_threshold=anchor_threshold)
        check_range('[0, 100]', unreliable_percent=unreliable_percent)
        check_range('(0, inf)', temperature=temperature)
        check_range(
            '[0, inf)', unsup_weight=unsup_weight, contrast_weight=contrast_weight
        )
        check_range(
            '[1, inf)',
            num_anchors=num_anchors,
            num_negatives=num_negatives,
            max_keys=max_keys,
        )
        check_choice(mix=(mix, MIXES), teacher_passes=(teacher_passes, (1, 2)))
        check_length(warmup_iters, 'warmup_iters')
        _check_ranks(low_rank, high_rank, self.num_classes)
        sizes = _bank_sizes(bank_size, bank_size_first, self.num_classes)
        dim = score_heads(self.student)[-1].rep_channels
        self.memory_bank = ClassMemoryBank(sizes, dim)
        self.unsup_weight, self.contrast_weight = unsup_weight, contrast_weight
        self.unreliable_percent = unreliable_percent
        self.anchor_threshold = anchor_threshold
        self.low_rank, self.high_rank = low_rank, high_rank
        self.num_anchors, self.num_negatives = num_anchors, num_negatives
        self.temperature, self.max_keys = temperature, max_keys
        self.mix, self.mix_prob = mix, mix_prob
        self.teacher_passes, self.warmup_iters = teacher_passes, warmup_iters

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step: L_s + lambda_u L_u + lambda_c L_c."""
        sup, weak = inputs['sup'], inputs['unsup_teacher']
        strong = inputs.get('unsup_student', weak)
        samples, n = data_samples['sup'], len(sup)
        if self.in_warmup:
            features, outputs, rep = represent(self.student, sup)
            losses = supervised_losses(self.student, features, outputs, samples)
            return {**add_prefix(losses, 'sup'), 'loss_contrast': rep.sum() * 0}

        # 1. Teacher: pseudo-labels and entropy at image size, probabilities and
        #    representations at feature size.
        strong, label, uncertainty, prob, rep_teacher = self._ask_teacher(
            sup, weak, strong, stack_valid(data_samples['unsup_teacher'])
        )

        # 2. Student: one forward of both halves.
        features, outputs, rep = represent(self.student, join_images(sup, strong))
        scores = final_scores(self.student, outputs)

        # 3. Supervised loss L_s.
        losses = supervised_losses(self.student, features, outputs, samples)
        losses = add_prefix(losses, 'sup')

        # 4. Reliable pixels: entropy below gamma_t, the (100 - alpha_t)-th
        #    percentile; lambda_u is the inverse of their share.
        alpha = self.unreliable_percent * (1 - self.iter / self.max_iters)
        reliable, gamma = drop_unreliable(label, uncertainty, 100 - alpha)
        scores_u = self.upsample(scores[n:], label.shape[1:])
        # the share is that of real pixels: padding and cut-outs are none
        share = (label != 255).float().mean()
        loss_unsup = share * reweighted_cross_entropy(scores_u, reliable)

        # 5. Contrastive loss L_c (eq. 4).
        loss_contrast, num_contrasted = self._contrastive_loss(
            rep, rep_teacher, prob, stack_labels(samples), label, reliable
        )
        losses['loss_unsup'] = self.unsup_weight * loss_unsup
        losses['loss_contrast'] = self.contrast_weight * loss_contrast
        losses['entropy_threshold'] = gamma
        losses['reliable_ratio'] = (reliable != 255).float().mean()
        losses['contrast_classes'] = num_contrasted
        return losses

    @torch.no_grad()
    def _ask_teacher(
        self, sup: Tensor, weak: Tensor, strong: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Label the unlabelled images and mix them.

        Returns the mixed images (B_u, 3, H, W), their pseudo-labels (B_u, H, W) with
        255 where there is no image, entropies (B_u, H, W), and of all images
        probabilities (B, C, h, w) and representations (B, D, h, w).
        """
        n, size = len(sup), weak.shape[-2:]
        _, outputs, rep = represent(self.teacher, join_images(sup, weak))
        scores = final_scores(self.teacher, outputs)
        prob, prob_u = scores.softmax(1), self.upsample(scores[n:], size).softmax(1)
        label = prob_u.argmax(1).masked_fill(~valid, 255)
        uncertainty = entropy(prob_u)
        mask = self._draw_mask(label)
        if mask is not None and self.mix == 'cutout':
            strong, label = strong * mask, label.masked_fill(~mask[:, 0], 255)
        elif mask is not None:
            strong, label, uncertainty = (
                mixing.mix(x, mask) for x in (strong, label, uncertainty)
            )
            small = resize_nearest(mask[:, 0], rep.shape[-2:])[:, None]
            for x in (prob, rep):
                x[n:] = mixing.mix(x[n:], small)
        if self.teacher_passes == 2:
            self.teacher.train()
            _, outputs, rep = represent(self.teacher, join_images(sup, strong))
            scores = final_scores(self.teacher, outputs)
            self.teacher.eval()
            prob = scores.softmax(1)
            uncertainty = entropy(self.upsample(scores[n:], size).softmax(1))
        return strong, label, uncertainty, prob, rep

    def _draw_mask(self, label: Tensor) -> Tensor | None:
        """Return a mixing mask (B, 1, H, W), or None if this batch stays as it is."""
        if self.mix is None or torch.rand(()) >= self.mix_prob:
            return None
        if self.mix == 'classmix':
            return mixing.classmix_mask(label)
        batch, height, width = label.shape
        return mixing.cutmix_mask(batch, (height, width), device=label.device)

    def _contrastive_loss(
        self,
        rep: Tensor,
        rep_teacher: Tensor,
        prob: Tensor,
        label_l: Tensor,
        label_u: Tensor,
        reliable: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute L_c (eq. 4) at feature size and feed the memory bank.

        ``rep`` (B, D, h, w) is the student's, ``rep_teacher`` and ``prob`` (B, C, h,
        w) the teacher's of the same mixed images; ``label_l`` (n, H, W), ``label_u``
        all pseudo-labels (B - n, H, W), ``reliable`` has 255 where they are not.
        Returns the loss and the number of classes in it.
        """
        size, n = rep.shape[-2:], len(label_l)
        label = resize_nearest(torch.cat([label_l, label_u]), size)
        is_reliable = resize_nearest(torch.cat([label_l, reliable]), size) != 255

        # Anchors A_c; positives z_c+, their mean over all ranks.
        anchor = contrast.anchor_mask(
            prob, label, is_reliable, threshold=self.anchor_threshold
        )
        sums, counts = contrast.class_prototypes(
            rep_teacher, label, anchor, self.num_classes
        )
        present = counts > 0
        all_reduce(sums), all_reduce(counts)
        positive = sums / counts.clamp(min=1)[:, None]

        # Negatives of class c (eq. 13 to 16), through the bank of c.
        ranks = dict(low_rank=self.low_rank, high_rank=self.high_rank)
        negative = contrast.negative_mask(prob, label, ~is_reliable, n, **ranks)
        pixels, owners = contrast.select_keys(negative, self.max_keys)
        keys = contrast.gather_pixels(rep_teacher, pixels).float()
        self.memory_bank.push(*all_gather_rows(keys, owners))

        # InfoNCE (eq. 4) of the classes with anchors on this rank.
        classes = (present & (self.memory_bank.count > 0)).nonzero().flatten()
        if len(classes) == 0:
            return rep.sum() * 0, counts.sum() * 0
        drawn = contrast.sample_anchors(label, anchor, classes, self.num_anchors)
        loss = contrast.info_nce(
            contrast.gather_pixels(rep, drawn),
            positive.index_select(0, classes),
            self.memory_bank.sample(classes, (self.num_anchors, self.num_negatives)),
            self.temperature,
        )
        return loss, counts.new_tensor(len(classes))


def _check_ranks(low: int, high: int, classes: int) -> None:
    """Refuse ranks between which no class is."""
    if not 0 < low < min(classes, high):
        fit = 1 if min(classes, high) < 4 else 3
        remedy = 'a larger high_rank' if high < 2 else f'low_rank={fit}'
        raise ValueError(
            f'low_rank={low} must be at least 1, below high_rank={high} and below the '
            f'{classes} classes, or no negatives are left: use {remedy}'
        )


def _bank_sizes(size: int | list[int], first: int, classes: int) -> list[int]:
    """Return the rows of the memory bank for each class."""
    sizes = [first] + [size] * (classes - 1) if isinstance(size, int) else size
    if len(sizes) != classes:
        raise ValueError(
            f'bank_size lists {len(sizes)} numbers for {classes} classes: '
            'give one number, or one for each class'
        )
    return sizes
