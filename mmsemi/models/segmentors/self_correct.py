"""Self-correcting networks: boxes become labels inside of the training."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import is_distributed
from mmengine.optim import OptimWrapper
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.checks import check_range
from mmsemi.models.decode_heads.decoding import (
    decode,
    final_scores,
    in_float32,
    supervised_losses,
)
from mmsemi.models.losses import soft_cross_entropy
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor, second_network
from mmsemi.models.utils.batches import join_images, stack_labels, stack_valid
from mmsemi.models.utils.checkpoints import load_frozen
from mmsemi.models.utils.loss_weights import weigh_losses
from mmsemi.models.utils.self_correction import (
    ConvSelfCorrection,
    exponential_alpha,
    linear_self_correction,
)
from mmsemi.models.utils.stack_boxes import (
    check_box_classes,
    estimate_labels,
    stack_box_labels,
)
from mmsemi.registry import MODELS

MODES = 'none', 'linear', 'conv', 'em-fixed'
CORRECTED = 'corrected'
VOID = 255


@MODELS.register_module()
class SelfCorrect(SemiBaseSegmentor):
    """Self-correcting networks, and EM-Fixed as their baseline.

    `Semi-Supervised Semantic Image Segmentation with Self-correcting Networks
    <https://arxiv.org/abs/1811.07073>`_ (CVPR 2020). Some images have masks and boxes
    (F), most have boxes only (W). A frozen ancillary model that sees the boxes labels
    W softly; the primary model, which sees none and is what remains, learns from
    these labels; a self-correction lets it overrule the ancillary model's mistakes.

    The ``mode`` says what the label q of an image of W is:

    * ``'none'``: the ancillary model's distribution (Eq. 2).
    * ``'linear'``: Eq. 4 and 5, alpha falling from ``alpha_start`` to ``alpha_end``.
    * ``'conv'``: q_conv, which itself learns on F (Eq. 6).
    * ``'em-fixed'``: the class with the best score once the boxes' scores are raised,
      by `Papandreou et al. <https://arxiv.org/abs/1502.02734>`_; no ancillary model.

    Walk-through: MultiSourceSampler (F, W) -> branches ``sup`` and ``weak``, each with
    LoadBoxes and PackSemiInputs (``sup`` needs boxes in ``'conv'`` only) ->
    :meth:`loss`; SetIterHook for ``'linear'``. The ancillary model is a
    :class:`BoxConditionedSegmentor` from a stage before. ``'conv'`` takes three
    stages: the ancillary model on half of F; ``weak_weight=0``, which needs no ``weak``
    branch, on F; then all, from the second stage's checkpoint.

    Differences: where the paper is silent, each term is a mean over its pixels, F and
    W go through the primary together, the correction's loss trains nothing but the
    correction, which works at the size of the primary's scores, and padding is left
    out. Data sets without a background: see ``num_box_classes``.

    ``predict_on='corrected'`` predicts by q_conv, which needs boxes in test, too.

    Args:
        segmentor: Config of the primary model, any mmseg segmentor.
        ancillary: Config of the ancillary model, or what differs from ``segmentor``;
            without for ``'em-fixed'``.
        ancillary_checkpoint: Its weights, which replace the initialisation. Without,
            the checkpoint that the training starts from must hold them.
        mode: As above. Defaults to ``'linear'``.
        alpha_start: Weight of the ancillary model at the start. Defaults to 30.
        alpha_end: Its weight at the end. Defaults to 0.5.
        hidden: Channels inside of the correction of ``'conv'``. Defaults to 128.
        final_relu: Its second ReLU (:class:`ConvSelfCorrection`). Defaults to False.
        bg_bias: Added to the background's score in ``'em-fixed'``. Defaults to 5.
        fg_bias: Added to the score of a box's class there. Defaults to 6.
        num_box_classes: Number of classes with boxes in ``'em-fixed'``: all classes if
            there is no background. Defaults to all but the first.
        sup_weight: Weight of the primary's loss on F. Defaults to 1.
        weak_weight: Weight of its loss on W. Defaults to 1.
        **kwargs: ``data_preprocessor``, ``predict_on`` of :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: If the models do not fit each other or the mode, or a value is
            outside its range.
    """

    branches: tuple[str, ...] = ('sup', 'weak')
    followers = ()

    primary: Any
    ancillary: Any

    def __init__(
        self,
        *,
        segmentor: dict,
        ancillary: dict | None = None,
        ancillary_checkpoint: str | None = None,
        mode: str = 'linear',
        alpha_start: float = 30.0,
        alpha_end: float = 0.5,
        hidden: int = 128,
        final_relu: bool = False,
        bg_bias: float = 5.0,
        fg_bias: float = 6.0,
        num_box_classes: int | None = None,
        sup_weight: float = 1.0,
        weak_weight: float = 1.0,
        predict_on: str = 'primary',
        **kwargs: Any,
    ) -> None:
        if ancillary is not None:
            ancillary = second_network(segmentor, ancillary)
        _check_fit(mode, segmentor, ancillary, weak_weight)
        check_range('[0, inf)', sup_weight=sup_weight, weak_weight=weak_weight)
        exponential_alpha(0, 1, alpha_start, alpha_end)
        networks = [segmentor] if ancillary is None else [segmentor, ancillary]
        # which networks there are is asked for while they are built
        self.mode = mode
        super().__init__(*networks, predict_on=predict_on, **kwargs)
        self.needs_time = mode == 'linear'
        self.branches = ('sup', 'weak') if weak_weight else ('sup',)
        self.ancillary_checkpoint = ancillary_checkpoint
        self._ancillary_is_trained = ancillary is None
        self.alpha_start, self.alpha_end = alpha_start, alpha_end
        self.bg_bias, self.fg_bias = bg_bias, fg_bias
        self.num_box_classes = num_box_classes or self.num_classes - 1
        check_box_classes(self.num_box_classes, self.num_classes)
        self.sup_weight, self.weak_weight = sup_weight, weak_weight
        if mode == 'conv':
            self.correction = ConvSelfCorrection(self.out_channels, hidden, final_relu)

    def _build_networks(self, *segmentors: dict) -> None:
        self.primary, *rest = map(MODELS.build, segmentors)
        self.ancillary = rest[0] if rest else None
        if self.ancillary is None:
            return
        for name, network in (('segmentor', self.primary), ('ancillary', rest[0])):
            if hasattr(network, 'num_box_classes') != (name == 'ancillary'):
                raise TypeError(
                    f'{name} has the type {type(network).__name__}: the ancillary '
                    'model must be conditioned on boxes (BoxConditionedSegmentor) and '
                    'the segmentor must not; exchange it'
                )
        if self.ancillary.num_classes != self.primary.num_classes:
            raise ValueError(
                f'segmentor has {self.primary.num_classes} classes and ancillary '
                f'{self.ancillary.num_classes}, but one labels for the other: set '
                'num_classes of their heads to the same number'
            )
        self.ancillary.requires_grad_(False).eval()

    def networks(self) -> dict[str, Any]:
        """Return the primary model; the ancillary one predicts from boxes only."""
        return {'primary': self.primary}

    def predictors(self) -> list[str]:
        """Return the primary model and, in ``'conv'``, ``'corrected'``: q_conv."""
        corrected = [CORRECTED] if self.mode == 'conv' else []
        return [*self.networks(), *corrected]

    def train(self, mode: bool = True) -> 'SelfCorrect':
        """Switch the primary model and the correction; the ancillary stays in eval."""
        super().train(mode)
        if self.ancillary is not None:
            self.ancillary.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the primary model, and load the ancillary one.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            ValueError: If it is that of another model.
        """
        super().init_weights()
        if self.ancillary_checkpoint is not None:
            load_frozen(self.ancillary, self.ancillary_checkpoint, 'ancillary')
            self._ancillary_is_trained = True

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        if self.ancillary is not None:
            own = self.ancillary.state_dict(prefix=f'{prefix}ancillary.')
            shapes = {key: value.shape for key, value in state_dict.items()}
            if all(shapes.get(key) == value.shape for key, value in own.items()):
                self._ancillary_is_trained = True
        super()._load_from_state_dict(state_dict, prefix, *args)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Do one step of mmengine's runner.

        Raises:
            RuntimeError: If nothing trained the ancillary model.
        """
        self._check_ancillary()
        return super().train_step(data, optim_wrapper)

    def _check_ancillary(self) -> None:
        if not self._ancillary_is_trained:
            raise RuntimeError(
                'the ancillary model of SelfCorrect has random weights, or some: give '
                'ancillary_checkpoint, or start from a checkpoint that holds all of it'
            )

    def predict(self, inputs: Tensor, data_samples: Any = None) -> SampleList:
        """Predict images (N, 3, H, W) on the primary model, or by q_conv.

        q_conv needs samples with boxes, and sees whole images.
        """
        if self.predict_on != CORRECTED:
            return super().predict(inputs, data_samples)
        scores = self.upsample(self._forward(inputs, data_samples), inputs.shape[2:])
        return self.primary.postprocess_result(scores, data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        """Return the scores (N, C, h, w) of ``predict_on``."""
        if self.predict_on != CORRECTED:
            return super()._forward(inputs, data_samples)
        scores = self.primary(inputs, mode='tensor').float()
        return self._correction_scores(scores, inputs, data_samples)

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step: Eq. 2, 5 or 6, or EM-Fixed's."""
        if is_distributed():  # where mmengine's runner does not come by train_step
            self._check_ancillary()
        sup, samples, n = inputs['sup'], data_samples['sup'], len(inputs['sup'])
        weak = inputs['weak'] if self.weak_weight else sup[:0]

        # 1. Primary: one forward of F and W.
        features = self.primary.extract_feat(join_images(sup, weak))
        outputs = in_float32(decode(self.primary, features))
        scores = final_scores(self.primary, outputs)

        # 2. log p(y|x) on F, mmseg's own losses.
        losses = supervised_losses(self.primary, features, outputs, samples)
        losses = weigh_losses(add_prefix(losses, 'sup'), self.sup_weight)

        # 3. log q_conv(y|x, b) on F (Eq. 6): the primary's scores are constants.
        if self.mode == 'conv':
            corrected = self._correction_scores(scores[:n].detach(), sup, samples)
            corrected = self.upsample(corrected, sup.shape[-2:])
            losses['loss_correction'] = _cross_entropy(corrected, stack_labels(samples))

        # 4. log p(y|x) on W, in expectation under q, a constant.
        if self.weak_weight:
            boxes, size = data_samples['weak'], weak.shape[-2:]
            valid = stack_valid(boxes)
            logits = self.upsample(scores[n:], size)
            if self.mode == 'em-fixed':
                rect = stack_box_labels(boxes, self.num_box_classes, valid)
                biases = self.bg_bias, self.fg_bias
                label = estimate_labels(logits, rect, self.num_box_classes, *biases)
                loss_weak = _cross_entropy(logits, label)
            else:
                q = self.correct(scores[n:], weak, boxes)
                loss_weak = soft_cross_entropy(logits, q, valid)
                sure = (q.amax(1) * valid).sum() / valid.sum().clamp_min(1)
                losses['confidence'] = sure
            losses['loss_weak'] = self.weak_weight * loss_weak
        if self.mode == 'linear':
            losses['alpha'] = scores.new_tensor(self.alpha)
        return losses

    @property
    def alpha(self) -> float:
        """Weight of the ancillary model at this step."""
        return exponential_alpha(
            self.iter, self.max_iters, self.alpha_start, self.alpha_end
        )

    @torch.no_grad()
    def correct(
        self, scores: Tensor, images: Tensor, data_samples: SampleList
    ) -> Tensor:
        """Return the label q of images with boxes, for every mode but ``'em-fixed'``.

        Args:
            scores: The primary's scores (N, C, h, w).
            images: (N, 3, H, W).
            data_samples: N samples with boxes.

        Returns:
            Probabilities (N, C, H, W), float32.
        """
        size = images.shape[-2:]
        if self.mode == 'conv':
            corrected = self._correction_scores(scores, images, data_samples)
            return self.upsample(corrected, size).softmax(1)
        ancillary = self.upsample(self._ancillary_scores(images, data_samples), size)
        if self.mode == 'none':
            return ancillary.softmax(1)
        primary = self.upsample(scores.float(), size)
        return linear_self_correction(primary, ancillary, self.alpha)

    @torch.no_grad()
    def _ancillary_scores(self, images: Tensor, data_samples: SampleList) -> Tensor:
        return self.ancillary(images, data_samples, mode='tensor').float()

    def _correction_scores(
        self, scores: Tensor, images: Tensor, data_samples: SampleList
    ) -> Tensor:
        """Return the scores of q_conv (N, C, h, w), at the primary's size."""
        ancillary = self._ancillary_scores(images, data_samples)
        ancillary = self.upsample(ancillary, scores.shape[2:])
        return self.correction(scores, ancillary).float()


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of (N, C, H, W) and (N, H, W): mean over what is not void, or 0."""
    total = F.cross_entropy(logits, label, ignore_index=VOID, reduction='sum')
    return total / (label != VOID).sum().clamp_min(1)


def _check_fit(
    mode: str, segmentor: dict, ancillary: dict | None, weak_weight: float
) -> None:
    if mode not in MODES:
        raise ValueError(f'mode={mode!r}: choose one of {MODES}')
    if (ancillary is None) != (mode == 'em-fixed'):
        raise ValueError(
            "mode='em-fixed' has no ancillary model: set ancillary=None"
            if ancillary
            else f'mode={mode!r} needs the ancillary model: give its config, ancillary'
        )
    if not weak_weight and mode != 'conv':
        raise ValueError(
            f"weak_weight=0 leaves nothing to mode={mode!r}: it is for mode='conv', "
            'whose second stage trains on the images with masks alone'
        )
    theirs, ours = (
        (cfg or {}).get('data_preprocessor') for cfg in (ancillary, segmentor)
    )
    if None not in (theirs, ours) and theirs != ours:
        raise ValueError(
            'ancillary.data_preprocessor differs from that of segmentor, but both see '
            'the same batch: train the ancillary model with the same one'
        )
