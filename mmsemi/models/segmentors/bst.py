"""BST: two networks that label for each other, in our reading."""

from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmsemi.checks import check_range
from mmsemi.models.segmentors.semi_base import SemiBaseSegmentor, second_network
from mmsemi.registry import MODELS

FUSION = 'fusion'


@MODELS.register_module()
class BST(SemiBaseSegmentor):
    """BST, self-training with two branches, one of which has branch attention.

    Released code: https://github.com/JSJ515-Group/BST. A single network that is
    trained again on its own labels repeats its mistakes. Here two full networks, the
    second with :class:`BranchAttention` in its head, learn from the same images; the
    labels of the next stage are the weighted mean of both predictions, and both learn
    from them.

    Walk-through: one labelled (or pseudo-labelled) data set, ordinary batches ->
    :meth:`loss` -> after the last step ReliabilityHook and PseudoLabelHook with
    ``networks=['branch1', 'branch2']`` -> the next stage of the recipe. No teacher,
    so no MeanTeacherHook.

    Differences: the paper could not be had and the released code trains one network
    per run, without second branch, fusion or noise. Two independent networks, the
    plain sum of their losses and the mean of probabilities as fusion are our reading
    of its abstract and figure. The pixel noise belongs to the labels and not to the
    predictions here: it is an option of PseudoLabelHook.

    Args:
        segmentor: Config of the first network (T1), any mmseg segmentor.
        branch2: Config of the second network (T2), with the same classes, or what
            differs from the first, e.g.
            ``dict(decode_head=dict(attention=dict(groups=32)))``. It is initialised
            independently.
        predict_on: ``'branch1'``, ``'branch2'``, or ``'fusion'`` for the weighted
            mean of both. Defaults to ``'branch2'``, the released code's
            default network.
        fusion_weight: Weight of the first network in the fusion, in [0, 1]. Defaults
            to 0.5.
        data_preprocessor: Config of the preprocessor. By default the first network's.

    Raises:
        ValueError: If the networks have other classes or another normalisation than
            each other, or a value is outside its range.
    """

    branches = ()
    followers = ()

    branch1: Any
    branch2: Any

    def __init__(
        self,
        *,
        segmentor: dict,
        branch2: dict,
        predict_on: str = 'branch2',
        fusion_weight: float = 0.5,
        data_preprocessor: dict | None = None,
    ) -> None:
        check_range('[0, 1]', fusion_weight=fusion_weight)
        branch2 = second_network(segmentor, branch2)
        theirs, ours = (cfg.get('data_preprocessor') for cfg in (branch2, segmentor))
        if None not in (theirs, ours) and theirs != ours:
            raise ValueError(
                'branch2.data_preprocessor differs from that of segmentor, but both '
                'networks see the same batch: remove it, or make them equal'
            )
        super().__init__(
            segmentor,
            branch2,
            data_preprocessor=data_preprocessor,
            predict_on=predict_on,
        )
        self.fusion_weight = fusion_weight

    @staticmethod
    def _default_preprocessor(segmentor: dict) -> dict:
        own = SemiBaseSegmentor._default_preprocessor(segmentor)
        return own['data_preprocessor']

    def _build_networks(self, *segmentors: dict) -> None:
        self.branch1, self.branch2 = map(MODELS.build, segmentors)
        if self.branch1.num_classes != self.branch2.num_classes:
            raise ValueError(
                f'segmentor has {self.branch1.num_classes} classes and branch2 '
                f'{self.branch2.num_classes}, but both learn from the same labels: set '
                'num_classes of their heads to the same number'
            )

    def networks(self) -> dict[str, Any]:
        """Return the two networks."""
        return {'branch1': self.branch1, 'branch2': self.branch2}

    def predictors(self) -> list[str]:
        """Return the names of the networks, and ``'fusion'``."""
        return [*self.networks(), FUSION]

    @classmethod
    def network_config(cls, config: dict, name: str) -> dict:
        """Return the config of a network."""
        if name != 'branch2':
            return config['segmentor']
        return second_network(config['segmentor'], config['branch2'])

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Do one step of mmengine's runner.

        Raises:
            ValueError: If the batch is one of several branches.
        """
        if isinstance(data['inputs'], dict):
            raise ValueError(
                f'BST trains on one data set of labelled images, but the batch has the '
                f'branches {list(data["inputs"])}: end the pipeline with PackSegInputs '
                'instead of MultiBranch, and remove collate_fn'
            )
        return super().train_step(data, optim_wrapper)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Add up the losses of both networks on the same images.

        Args:
            inputs: Images (N, 3, H, W).
            data_samples: Their labels, true or fused pseudo-labels.
        """
        losses: dict[str, Tensor] = {}
        for name, network in self.networks().items():
            losses |= add_prefix(network.loss(inputs, data_samples), name)
        return losses

    def predict(self, inputs: Tensor, data_samples: Any = None) -> SampleList:
        """Predict images (N, 3, H, W) on a network, or on the fusion of both.

        In the fusion each network predicts as mmseg does, its scores at the image's
        original size, and the probabilities are averaged there. The result's
        ``seg_logits`` are the logarithms of the mean: their softmax is the mean.
        """
        if self.predict_on != FUSION:
            return super().predict(inputs, data_samples)
        # the second prediction replaces the first in the samples
        first = [
            sample.seg_logits.data
            for sample in self.branch1.predict(inputs, data_samples)
        ]
        results = self.branch2.predict(inputs, data_samples)
        for scores, sample in zip(first, results, strict=True):
            prob = self._fuse(scores[None], sample.seg_logits.data[None])[0]
            sample.seg_logits = PixelData(data=_log(prob))
            sample.pred_sem_seg = PixelData(data=prob.argmax(0, keepdim=True))
        return results

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        """Return the scores (N, C, h, w), those of the fusion at branch1's size."""
        if self.predict_on != FUSION:
            return super()._forward(inputs, data_samples)
        scores1, scores2 = (
            network(inputs, data_samples, mode='tensor')
            for network in self.networks().values()
        )
        return _log(self._fuse(scores1, self.upsample(scores2, scores1.shape[2:])))

    def _fuse(self, scores1: Tensor, scores2: Tensor) -> Tensor:
        """Average class probabilities: of scores (N, C, h, w) make (N, C, h, w).

        As :func:`mmsemi.models.utils.pseudo_label.weighted_fusion`, which returns the
        label and not the distribution.
        """
        weight = self.fusion_weight
        prob1, prob2 = (scores.float().softmax(1) for scores in (scores1, scores2))
        return weight * prob1 + (1 - weight) * prob2


def _log(prob: Tensor) -> Tensor:
    """Logarithm that is finite at 0: scores whose softmax is ``prob``."""
    return prob.clamp_min(torch.finfo(prob.dtype).tiny).log()
