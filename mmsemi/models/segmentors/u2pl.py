"""U2PL: semi-supervised segmentation using unreliable pseudo-labels."""

import copy

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.models.utils import resize
from mmseg.utils import SampleList, add_prefix
from torch import Tensor, nn

from mmsemi.models.decode_heads.contrastive_head import (
    RepresentationHead,
    build_contrastive_head,
)
from mmsemi.models.segmentors.semi_base import (
    SemiBaseSegmentor,
    stack_labels,
    stack_valid,
)
from mmsemi.models.utils.contrast import (
    anchor_mask,
    class_prototypes,
    gather_pixels,
    info_nce,
    negative_mask,
    sample_anchors,
    select_keys,
)
from mmsemi.models.utils.distributed import all_gather_rows
from mmsemi.models.utils.memory_bank import ClassMemoryBank
from mmsemi.models.utils.mixing import classmix_mask, cutmix_mask, mix
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
    decode head is any mmseg head, to which a representation projector is
    added, or :class:`U2PLHead`, the paper's.

    Differences: the loss is the paper's and not that of the released code
    (configs/u2pl/README.md lists where that departs from it). Keys are capped
    per class, step and rank; the share of dropped pixels falls per iteration
    and not per epoch; padding is void and not background; one teacher pass
    instead of two (``teacher_passes``).

    Args:
        unsup_weight: Factor of the reliable cross entropy, beside its
            adaptive weight (eta). Defaults to 1.
        contrast_weight: Weight of the contrastive loss (lambda_c). Defaults
            to 0.1.
        unreliable_percent: Share of pixels dropped at the start, in percent
            (alpha_0, eq. 7); falls linearly to 0. Defaults to 20.
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
        rep_channels: Channels of the representation (D). Defaults to 256.
        mix: ``'cutmix'``, ``'classmix'``, ``'cutout'`` or None.
        mix_prob: Probability of mixing a batch. Defaults to 0.5, as released.
        teacher_passes: 1: one eval pass on labelled and clean unlabelled
            images, its results mixed with the images. 2: as released, labels
            of the clean images in eval mode, then entropy, ranks and
            representations of the mixed ones in train mode; give
            ``MeanTeacherHook(buffers='skip')``.
        warmup_iters: Steps at the start on labelled images only; let
            ``MeanTeacherHook.start_iter`` be the same. Defaults to 0.
        **kwargs: ``segmentor``, ``data_preprocessor``, ``predict_on`` of
            :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If the ranks do not fit the number of classes, or a value
            is outside its range.
    """

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
        warmup_iters: int = 0,
        **kwargs: object,
    ) -> None:
        segmentor = _with_representation(segmentor, rep_channels)
        super().__init__(segmentor=segmentor, **kwargs)
        classes = self.num_classes
        if not 0 < low_rank < min(classes, high_rank):
            raise ValueError(
                f'low_rank={low_rank} must be at least 1, below high_rank={high_rank} '
                f'and below the {classes} classes, or no negatives are left: '
                f'use low_rank={1 if classes < 4 else 3}'
            )
        if mix not in MIXES:
            raise ValueError(f'mix={mix!r}: choose one of {MIXES}')
        if teacher_passes not in (1, 2):
            raise ValueError(f'teacher_passes={teacher_passes}: choose 1 or 2')
        if not 0 <= unreliable_percent <= 100:
            raise ValueError(f'unreliable_percent={unreliable_percent} not in [0, 100]')
        sizes = bank_size
        if isinstance(bank_size, int):
            sizes = [bank_size_first] + [bank_size] * (classes - 1)
        if len(sizes) != classes:
            raise ValueError(
                f'bank_size lists {len(sizes)} numbers for {classes} classes: '
                'give one number, or one for each class'
            )
        self.memory_bank = ClassMemoryBank(sizes, rep_channels)
        self.unsup_weight = unsup_weight
        self.contrast_weight = contrast_weight
        self.unreliable_percent = unreliable_percent
        self.anchor_threshold = anchor_threshold
        self.low_rank, self.high_rank = low_rank, high_rank
        self.num_anchors, self.num_negatives = num_anchors, num_negatives
        self.temperature = temperature
        self.max_keys = max_keys
        self.mix, self.mix_prob = mix, mix_prob
        self.teacher_passes = teacher_passes
        self.warmup_iters = warmup_iters

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step, eq. 1: L_s + lambda_u L_u + lambda_c L_c."""
        sup, weak = inputs['sup'], inputs['unsup_teacher']
        strong = inputs.get('unsup_student', weak)
        if self.iter < self.warmup_iters:
            return self._warmup_loss(sup, data_samples['sup'])

        # 1. Teacher: pseudo-labels and entropy at image size, probabilities and
        #    representations at feature size (eq. 4 and 5).
        strong, label, uncertainty, prob, rep_teacher = self._ask_teacher(
            sup, weak, strong, stack_valid(data_samples['unsup_teacher'])
        )

        # 2. Student: one forward of both halves.
        n = len(sup)
        features = self.student.extract_feat(torch.cat([sup, strong]))
        logits, rep = self.student.decode_head.forward_with_representation(features)

        # 3. Supervised loss (eq. 2).
        losses = self._supervised_loss(features, logits, data_samples['sup'])

        # 4. Reliable pixels: entropy below gamma_t, the (100 - alpha_t)-th
        #    percentile (eq. 6 to 8); their weight is the inverse of their share.
        alpha = self.unreliable_percent * (1 - self.iter / self.max_iters)
        reliable, gamma = drop_unreliable(label, uncertainty, 100 - alpha)
        logits_u = self._upsample(logits[n:].float(), label.shape[-2:])
        losses['loss_unsup'] = self.unsup_weight * reweighted_cross_entropy(
            logits_u, reliable
        )

        # 5. Contrastive loss (eq. 9).
        loss_contrast, num_contrasted = self._contrastive_loss(
            rep, rep_teacher, prob, stack_labels(data_samples['sup']), label, reliable
        )
        losses['loss_contrast'] = self.contrast_weight * loss_contrast
        losses['entropy_threshold'] = gamma
        losses['reliable_ratio'] = (reliable != 255).float().mean()
        losses['contrast_classes'] = num_contrasted
        return losses

    def _warmup_loss(self, sup: Tensor, samples: SampleList) -> dict[str, Tensor]:
        """Train on labelled images only; the projector gets a zero gradient."""
        features = self.student.extract_feat(sup)
        logits, rep = self.student.decode_head.forward_with_representation(features)
        losses = self._supervised_loss(features, logits, samples)
        losses['loss_contrast'] = rep.sum() * 0
        return losses

    def _supervised_loss(
        self, features: tuple[Tensor, ...], logits: Tensor, samples: SampleList
    ) -> dict[str, Tensor]:
        """Compute the student's own losses on the labelled images, auxiliary too."""
        n, student = len(samples), self.student
        losses = add_prefix(
            student.decode_head.loss_by_feat(logits[:n], samples), 'sup.decode'
        )
        if student.with_auxiliary_head:
            labeled = [feature[:n] for feature in features]
            heads = student.auxiliary_head
            heads = heads if isinstance(heads, nn.ModuleList) else [heads]
            for i, head in enumerate(heads):
                aux = head.loss(labeled, samples, student.train_cfg)
                losses.update(add_prefix(aux, f'sup.aux_{i}'))
        return losses

    @torch.no_grad()
    def _ask_teacher(
        self, sup: Tensor, weak: Tensor, strong: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Label the unlabelled images and mix them.

        Returns:
            The mixed images (B_u, 3, H, W), their pseudo-labels (B_u, H, W)
            with 255 where there is no image, entropies (B_u, H, W), and of all
            images probabilities (B, C, h, w) and representations (B, D, h, w).
        """
        n, size = len(sup), weak.shape[-2:]
        logits, rep = self._teacher_forward(torch.cat([sup, weak]))
        prob, prob_u = logits.softmax(1), self._upsample(logits[n:], size).softmax(1)
        label, uncertainty = prob_u.argmax(1), entropy(prob_u)
        label = label.masked_fill(~valid, 255)
        mask = self._draw_mask(label)
        if mask is not None and self.mix == 'cutout':
            strong, label = strong * mask, label.masked_fill(~mask[:, 0], 255)
        elif mask is not None:
            strong, label, uncertainty = (
                mix(x, mask) for x in (strong, label, uncertainty)
            )
            small = _nearest(mask[:, 0], rep.shape[-2:])[:, None]
            prob, rep = (torch.cat([x[:n], mix(x[n:], small)]) for x in (prob, rep))
        if self.teacher_passes == 2:
            self.teacher.train()
            logits, rep = self._teacher_forward(torch.cat([sup, strong]))
            self.teacher.eval()
            prob = logits.softmax(1)
            uncertainty = entropy(self._upsample(logits[n:], size).softmax(1))
        return strong, label, uncertainty, prob, rep

    def _contrastive_loss(
        self,
        rep: Tensor,
        rep_teacher: Tensor,
        prob: Tensor,
        label_l: Tensor,
        label_u: Tensor,
        reliable: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute L_c at feature size (eq. 9 to 16) and feed the memory bank.

        Args:
            rep: The student's representations (B, D, h, w).
            rep_teacher: The teacher's, of the same (mixed) images.
            prob: The teacher's probabilities (B, C, h, w).
            label_l: Labels (n, H, W).
            label_u: Pseudo-labels (B - n, H, W) of all pixels.
            reliable: Pseudo-labels of the reliable pixels, 255 elsewhere.

        Returns:
            The loss and the number of classes in it.
        """
        size = rep.shape[-2:]
        label = _nearest(torch.cat([label_l, label_u]), size)
        is_reliable = _nearest(torch.cat([label_l, reliable]), size) != 255

        # Anchors A_c (eq. 10 to 12); positives z_c+, their mean over all ranks.
        anchor = anchor_mask(prob, label, is_reliable, threshold=self.anchor_threshold)
        sums, counts = class_prototypes(rep_teacher, label, anchor, self.num_classes)
        present = counts > 0
        all_reduce(sums), all_reduce(counts)
        positive = sums / counts.clamp(min=1)[:, None]

        # Negatives of class c (eq. 13 to 16), through the bank of c.
        negative = negative_mask(
            prob,
            label,
            ~is_reliable,
            len(label_l),
            low_rank=self.low_rank,
            high_rank=self.high_rank,
        )
        pixels, owners = select_keys(negative, self.max_keys)
        keys = all_gather_rows(gather_pixels(rep_teacher, pixels))
        self.memory_bank.push(keys, all_gather_rows(owners))

        classes = (present & (self.memory_bank.count > 0)).nonzero().flatten()
        if len(classes) == 0:
            return rep.sum() * 0, counts.sum() * 0
        drawn = sample_anchors(label, anchor, classes, self.num_anchors)
        anchors = gather_pixels(rep, drawn)
        negatives = self.memory_bank.sample(
            classes, (self.num_anchors, self.num_negatives)
        )
        positives = positive.index_select(0, classes)
        loss = info_nce(anchors, positives, negatives, self.temperature)
        return loss, rep.new_tensor(len(classes))

    def _teacher_forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.teacher.extract_feat(images)
        logits, rep = self.teacher.decode_head.forward_with_representation(features)
        return logits.float(), rep

    def _upsample(self, logits: Tensor, size: torch.Size) -> Tensor:
        return resize(
            logits, size, mode='bilinear', align_corners=self.student.align_corners
        )

    def _draw_mask(self, label: Tensor) -> Tensor | None:
        """Return a mixing mask (B, 1, H, W), or None if this batch stays as it is."""
        if self.mix is None or torch.rand(()) >= self.mix_prob:
            return None
        if self.mix == 'classmix':
            return classmix_mask(label)
        return cutmix_mask(len(label), label.shape[-2:], device=label.device)


def _nearest(maps: Tensor, size: torch.Size) -> Tensor:
    """Resize maps (B, H, W) of any type by their nearest pixel."""
    resized = F.interpolate(maps[:, None].float(), size, mode='nearest-exact')
    return resized[:, 0].to(maps.dtype)


def _with_representation(segmentor: dict, rep_channels: int) -> dict:
    """Return the config with a contrastive decode head, the given one untouched."""
    segmentor = copy.deepcopy(segmentor)
    head = segmentor['decode_head']
    # the last head of a cascade is the one that predicts
    last = head[-1] if isinstance(head, (list, tuple)) else head
    kind = MODELS.get(last['type']) if isinstance(last['type'], str) else last['type']
    if kind is build_contrastive_head or issubclass(kind, RepresentationHead):
        return segmentor
    wrapped = dict(
        type=build_contrastive_head, head=copy.deepcopy(last), rep_channels=rep_channels
    )
    if last is head:
        segmentor['decode_head'] = wrapped
    else:
        head[-1] = wrapped
    return segmentor
