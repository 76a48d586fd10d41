"""CPS: cross pseudo supervision of two networks."""

import copy
import warnings
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
from mmsemi.models.utils.cutmix_masks import several_boxes_mask
from mmsemi.models.utils.hard_label import masked_cross_entropy
from mmsemi.models.utils.lengths import check_length
from mmsemi.models.utils.mixing import mix
from mmsemi.registry import MODELS


@MODELS.register_module()
class CPS(SemiBaseSegmentor):
    """CPS, `Cross Pseudo Supervision <https://arxiv.org/abs/2106.01226>`_.

    Two networks of the same structure, each initialised by itself, see the same
    images. The class that one predicts at a pixel is the label of the other there.
    Two networks that differ correct each other, one network alone would confirm
    itself.

    Walk-through: MultiSourceSampler (labeled, unlabeled) -> branches ``sup`` and
    ``unsup_teacher``, both weak views -> :meth:`loss`. No teacher, so no
    MeanTeacherHook.

    As released: every network is in train mode throughout; labelled and unlabelled
    images go through it in forwards of their own; without CutMix the cross
    supervision is one mean over labelled and unlabelled pixels, with CutMix it is that
    of the mixed unlabelled images alone, labelled by the other network on the images
    before mixing.

    Differences from the released code: CutMix pastes the next image of the batch (the
    code another crop of the same image, from a second loader), so a GPU needs two
    unlabelled images; padding is no pixel.

    A plain checkpoint (``load_from``) gives both networks the same weights, and equal
    networks have nothing to tell each other: it warns. Start from a pretrained backbone
    instead (``init_cfg``), the heads then differ.

    Args:
        segmentor: Config of both networks, any mmseg segmentor.
        cps_weight: Weight of the cross supervision (lambda). Defaults to 1.5, the
            released code's for VOC; it has 6 for Cityscapes, and 1 and 5 with CutMix.
        cutmix: Mix the unlabelled images. Defaults to False.
        warmup_iters: Steps at the start without cross supervision, or their share of
            the training (between 0 and 1); needs SetIterHook. Not the paper's, whose
            backbones are pretrained: networks from scratch first predict the most
            frequent class, and confirm each other. Defaults to 0.
        predict_on: ``'net1'``, the one that the paper evaluates, or ``'net2'``.
        **kwargs: ``data_preprocessor`` of :class:`SemiBaseSegmentor`.

    Raises:
        ValueError: A value is outside its range.
    """

    branches = ('sup', 'unsup_teacher')
    followers = ()

    net1: Any
    net2: Any

    def __init__(
        self,
        *,
        segmentor: dict,
        cps_weight: float = 1.5,
        cutmix: bool = False,
        warmup_iters: float = 0,
        predict_on: str = 'net1',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, predict_on=predict_on, **kwargs)
        check_range('[0, inf)', cps_weight=cps_weight)
        check_length(warmup_iters, 'warmup_iters')
        self.cps_weight, self.warmup_iters = cps_weight, warmup_iters
        self.needs_time = warmup_iters > 0
        self.cutmix = cutmix

    def _build_networks(self, *segmentors: dict) -> None:
        (segmentor,) = segmentors
        # Building writes into the config it is given.
        self.net1 = MODELS.build(copy.deepcopy(segmentor))
        self.net2 = MODELS.build(segmentor)

    def networks(self) -> dict[str, Any]:
        """Return the two networks."""
        return {'net1': self.net1, 'net2': self.net2}

    def _spread_plain_checkpoint(self, state_dict: dict, prefix: str) -> None:
        own = f'{prefix}net1.decode_head.'
        before = any(key.startswith(own) for key in state_dict)
        super()._spread_plain_checkpoint(state_dict, prefix)
        if not before and any(key.startswith(own) for key in state_dict):
            warnings.warn(
                'net1 and net2 of CPS are loaded with the same weights, and equal '
                'networks have nothing to tell each other: take load_from away and '
                'give the weights of a backbone by its init_cfg, the heads then differ',
                stacklevel=2,
            )

    def loss(
        self, inputs: dict[str, Tensor], data_samples: dict[str, SampleList]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step: L_s + lambda L_cps."""
        sup, unsup = inputs['sup'], inputs['unsup_teacher']
        valid = stack_valid(data_samples['unsup_teacher'])
        losses: dict[str, Tensor] = {}

        # 1. Supervised loss L_s of both networks
        scores_l = []
        for name, network in self.networks().items():
            features = network.extract_feat(sup)
            outputs = decode(network, features)
            found = supervised_losses(network, features, outputs, data_samples['sup'])
            losses |= add_prefix(found, f'{name}.sup')
            scores_l.append(self._enlarge(final_scores(network, outputs), sup))
        if self.in_warmup:
            return losses

        # 2. Labels Y_1, Y_2 and predictions P_1, P_2, at all the pixels that count
        if self.cutmix:
            labels, unsup, valid = self._label_and_mix(unsup, valid)
            predictions = self._predict_each(unsup)
        else:
            predictions = [
                join_images(labeled, unlabeled)
                for labeled, unlabeled in zip(
                    scores_l, self._predict_each(unsup), strict=True
                )
            ]
            labels = [scores.detach().argmax(1) for scores in predictions]
            valid = torch.cat([stack_valid(data_samples['sup']), valid])

        # 3. L_cps, crossed: the label of each network supervises the other
        loss_cps = masked_cross_entropy(
            predictions[0], labels[1], valid
        ) + masked_cross_entropy(predictions[1], labels[0], valid)
        losses['loss_cps'] = self.cps_weight * loss_cps
        agree = (labels[0] == labels[1]) & valid
        losses['agreement'] = agree.sum() / valid.sum().clamp_min(1)
        return losses

    def _enlarge(self, scores: Tensor, images: Tensor) -> Tensor:
        """Return scores (N, C, h, w) at the images' size, float32."""
        return self.upsample(scores.float(), images.shape[-2:])

    def _predict_each(self, images: Tensor) -> list[Tensor]:
        """Return the scores (N, C, H, W) of each network."""
        return [
            self._enlarge(network(images, mode='tensor'), images)
            for network in self.networks().values()
        ]

    @torch.no_grad()
    def _label_and_mix(
        self, images: Tensor, valid: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Label the images by each network; mix labels, images and validity."""
        labels = [scores.argmax(1) for scores in self._predict_each(images)]
        size = images.shape[-2], images.shape[-1]
        mask = several_boxes_mask(len(images), size, device=images.device)
        first, second, images, valid = (mix(x, mask) for x in (*labels, images, valid))
        return [first, second], images, valid
