"""AVC: a classifier of image tags whose activation maps become seeds."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.models.backbones import DDRNet, PIDNet
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.checks import check_choice, check_range
from mmsemi.models.losses.affinity_vector_consistency import (
    MODES,
    affinity_vector_consistency,
)
from mmsemi.models.utils.cam import cam_to_label
from mmsemi.models.utils.cam_views import (
    refine_on_grid,
    sum_views,
    valid_cells,
    view_sizes,
)
from mmsemi.models.utils.lengths import check_length, warmup_steps
from mmsemi.models.utils.tags import stack_tags
from mmsemi.registry import MODELS


@MODELS.register_module()
class AVC(BaseModel):
    """AVC (reconstruction): a classifier with affinity-vector consistency.

    The first step of AVC (https://github.com/xupeijun01/AVC), whose code was never
    published: TransCAM's classifier, which learns from image tags, and a term that
    gives the tokens of one class the same row of the affinity, and those of different
    classes disjoint rows. The term, its weight and its schedule are a reconstruction
    from a figure and the names, not the authors'; with ``consistency_weight=0`` this
    is TransCAM (backbone ConformerCam) or PSA's classifier (backbone ResNet38).

    Walk-through: UnlabeledDataset -> LoadImageTags -> PackSemiInputs -> :meth:`loss`,
    with SetIterHook if there is the term -> :class:`mmsemi.labeling.CamHook`. No mask
    is opened.

    Args:
        backbone: ConformerCam or ResNet38.
        head: ConformerCamHead or CamHead.
        data_preprocessor: mmseg's ``SegDataPreProcessor``.
        consistency_weight: Factor of the term. Defaults to 0.1 (reconstruction).
        warmup: Steps without the term, or their share of the training (between 0 and
            1); it then rises over the same time, linearly, to its weight. Defaults to
            0.25 (reconstruction).
        mode: ``'target'``, ``'pair'`` or ``'view'`` (which needs a second forward,
            of the mirrored images): see :func:`affinity_vector_consistency`.
        balanced: As there. Defaults to False.
        symmetric: As there. Defaults to False.
        low: Below it, the largest of the normalised maps makes a token background.
            Defaults to 0.25, TransCAM's bound of sure background.
        high: Above it, a token is of the class. Defaults to 0.6, TransCAM's.

    Raises:
        ValueError: A value is outside its range, or head or backbone do not fit, or
            the head has no affinity.
    """

    def __init__(
        self,
        *,
        backbone: dict,
        head: dict,
        data_preprocessor: dict,
        consistency_weight: float = 0.1,
        warmup: float = 0.25,
        mode: str = 'target',
        balanced: bool = False,
        symmetric: bool = False,
        low: float = 0.25,
        high: float = 0.6,
    ) -> None:
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        check_range('[0, inf)', consistency_weight=consistency_weight)
        check_length(warmup, 'warmup')
        check_range('[0, 1]', low=low, high=high)
        if low > high:
            raise ValueError(f'low={low} is above high={high}: exchange them')
        check_choice(mode=(mode, MODES))
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        if not hasattr(self.head, 'has_affinity'):
            raise ValueError(
                f'AVC classifies whole images by their tags, but its head is '
                f'{type(self.head).__name__}: use CamHead or ConformerCamHead'
            )
        if isinstance(self.backbone, (DDRNet, PIDNet)):
            raise ValueError(
                f'{type(self.backbone).__name__} gives other features in training than '
                'in prediction, but AVC reads the same: use another backbone'
            )
        if consistency_weight and not self.head.has_affinity:
            raise ValueError(
                f'consistency_weight={consistency_weight}, but the head has no '
                'affinity: set its affinity_channels, or consistency_weight=0'
            )
        self.needs_time = consistency_weight > 0
        self.consistency_weight, self.warmup = consistency_weight, warmup
        self.mode, self.balanced, self.symmetric = mode, balanced, symmetric
        self.low, self.high = low, high
        # until it is told the time, it is in the warm-up if there is one
        self.iter, self.start = 0, int(warmup > 0)

    @property
    def num_classes(self) -> int:
        """Number of classes, the background (class 0) included."""
        return self.head.num_classes + 1

    def set_iter(self, iteration: int, max_iters: int) -> None:
        """Take the time from :class:`mmsemi.engine.SetIterHook`.

        Raises:
            ValueError: If ``warmup`` leaves none of it.
        """
        use = 'the consistency term is'
        self.start = warmup_steps(self.warmup, max_iters, 'AVC warmup', use)
        self.iter = iteration

    def weight_now(self) -> float:
        """Return the factor of the consistency term at this step."""
        if self.iter < self.start:
            return 0.0
        risen = (self.iter - self.start) / self.start if self.start else 1.0
        return self.consistency_weight * min(risen, 1.0)

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """Dispatch to :meth:`loss`, :meth:`predict` or the scores (B, C)."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.head(self.backbone(inputs))
        raise ValueError(f"mode={mode!r}: choose 'loss', 'predict' or 'tensor'")

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses of one step on images (B, 3, H, W) with tags."""
        tags = stack_tags(data_samples, self.num_classes)[:, 1:].to(inputs.device)

        # 1. TransCAM, PSA: one soft-margin loss (of the sum of both classifiers)
        features = self.backbone(inputs)
        scores = self.head(features).float()
        losses = {'loss_cls': F.multilabel_soft_margin_loss(scores, tags.float())}

        # 2. reconstruction: from here on. Also during the warm-up, with the factor 0:
        #    processes must agree on which parameters have a gradient
        if self.consistency_weight:
            # 2a. labels of the tokens: the refined maps of the same step
            affinity, grid = self.head.affinity(features)
            with torch.no_grad():
                maps = refine_on_grid(self.head.cam(features), affinity, grid)
                valid = valid_cells(data_samples, inputs.shape[2:], grid)
                label = cam_to_label(
                    maps,
                    tags,
                    low=self.low,
                    high=self.high,
                    valid=valid.to(maps.device),
                )
            # 2b. L_AVC: mean over the labelled tokens of 1 - cos(a_i, t_i)
            term = affinity_vector_consistency(
                affinity,
                label.flatten(1),
                mode=self.mode,
                balanced=self.balanced,
                symmetric=self.symmetric,
                **self._mirrored(inputs, grid),
            )
            losses['loss_consistency'] = self.weight_now() * term
            losses['inconsistency'] = term.detach()
            losses['labelled_token_ratio'] = (label != 255).float().mean()
        return losses

    def _mirrored(self, inputs: Tensor, grid: tuple[int, int]) -> dict[str, Any]:
        """Return what the mode ``'view'`` compares with."""
        if self.mode != 'view':
            return {}
        affinity, _ = self.head.affinity(self.backbone(inputs.flip(-1)))
        return dict(flipped=affinity, width=grid[1])

    def predict(self, inputs: Tensor, data_samples: Any = None) -> SampleList:
        """Predict the tags of images (B, 3, H, W).

        Returns:
            Data samples with ``pred_score`` (C,), probabilities of the object classes,
            and, where there are tags, ``gt_score`` (C,), as the metrics of mmpretrain
            and :class:`mmsemi.evaluation.TagAveragePrecision` read them.
        """
        probs = self.head(self.backbone(inputs)).float().sigmoid()
        samples = data_samples or [SegDataSample() for _ in probs]
        for sample, prob in zip(samples, probs, strict=True):
            sample.pred_score = prob
            if 'gt_tags' in sample:
                tags = stack_tags([sample], self.num_classes)
                sample.gt_score = tags[0, 1:].to(prob)
        return samples

    def cams(
        self,
        images: Tensor,
        size: Sequence[int],
        *,
        scales: Sequence[float] = (1.0, 0.5, 1.5, 2.0),
        squares: Sequence[int] | None = None,
        flip: bool = True,
        refine: bool = False,
    ) -> Tensor:
        """Compute activation maps over scales and flips.

        Args:
            images: (B, 3, H, W), normalised.
            size: Height h and width w of the result.
            scales: As :func:`view_sizes`.
            squares: As there, instead of scales.
            flip: Also the mirrored views. Defaults to True.
            refine: Spread each view's maps along its affinity, as TransCAM does with
                its attention. Defaults to False.

        Returns:
            (B, C, h, w) of the C object classes, float32, a sum over the views.

        Raises:
            ValueError: Maps are to be refined without an affinity.
        """
        if refine and not self.head.has_affinity:
            raise ValueError(
                'refine=True, but the head has no affinity: set its affinity_channels, '
                'or refine=False'
            )

        def maps_of(view: Tensor) -> Tensor:
            features = self.backbone(view)
            maps = self.head.cam(features)
            if not refine:
                return maps
            affinity, grid = self.head.affinity(features)
            return refine_on_grid(maps, affinity, grid)

        divisor = getattr(self.backbone, 'size_divisor', 1)
        views = view_sizes(images.shape[-2:], scales, squares, divisor)
        return sum_views(maps_of, images, size, views, flip)
