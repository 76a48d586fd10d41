"""What all methods share: their networks, prediction, loading. No loss."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.registry import MODELS


class SemiBaseSegmentor(BaseModel):
    """A student built from any mmseg segmentor, and its teacher.

    The base builds, initialises, loads and predicts; a method adds its
    ``loss(inputs, data_samples)`` and nothing is hidden from it here.

    * The teacher is a deepcopy of the student that needs no gradient; it
      stays in eval mode whatever ``train()`` says (mmengine calls it every
      iteration). :class:`mmsemi.engine.MeanTeacherHook` moves it.
    * A plain checkpoint of the segmentor (a supervised run, or a published
      model) loads into the student and the teacher.
    * ``networks()`` names the networks that predict; ``predict_on`` chooses.

    Args:
        segmentor: Config of the student, any mmseg segmentor.
        data_preprocessor: Config of the training preprocessor. By default a
            :class:`MultiBranchDataPreprocessor` around the segmentor's own.
        predict_on: Network used in validation and test. Defaults to
            ``'teacher'``.

    Raises:
        ValueError: If ``predict_on`` names no network, the segmentor has no
            preprocessor, or its head is binary (one output channel).
    """

    branches: tuple[str, ...] = ('sup',)
    """Branches that a training batch must have."""

    needs_time = False
    """Whether a step depends on :meth:`set_iter`."""

    needs_mean_teacher = False
    """Whether :class:`mmsemi.engine.MeanTeacherHook` must move the teacher."""

    loss: Callable[..., dict[str, Tensor]]
    student: Any
    teacher: Any

    def __init__(
        self,
        segmentor: dict,
        data_preprocessor: dict | None = None,
        predict_on: str = 'teacher',
    ) -> None:
        if data_preprocessor is None:
            data_preprocessor = self._default_preprocessor(segmentor)
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        # Building writes into the config it is given.
        self.student = MODELS.build(copy.deepcopy(segmentor))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.teacher.eval()
        self.iter, self.max_iters = 0, 1
        self._told_time = False
        if self.out_channels == 1:
            raise ValueError(
                'the decode head has one output channel, but pseudo-labels come from '
                'a softmax over the classes: set out_channels=num_classes (2 for '
                'foreground and background) and use_sigmoid=False'
            )
        if predict_on not in self.networks():
            raise ValueError(
                f'predict_on={predict_on!r} is not a network of '
                f'{type(self).__name__}: choose from {list(self.networks())}'
            )
        self.predict_on = predict_on

    @staticmethod
    def _default_preprocessor(segmentor: dict) -> dict:
        own = segmentor.get('data_preprocessor')
        if own is None:
            raise ValueError(
                "the segmentor has no data_preprocessor: give it mmseg's "
                'SegDataPreProcessor (mean, std, size of the training crop)'
            )
        return dict(
            type='mmsemi.MultiBranchDataPreprocessor',
            data_preprocessor=copy.deepcopy(own),
        )

    def networks(self) -> dict[str, Any]:
        """Return the networks that predict, by name."""
        return {'student': self.student, 'teacher': self.teacher}

    @property
    def num_classes(self) -> int:
        """Number of classes of the student."""
        return self.student.num_classes

    @property
    def out_channels(self) -> int:
        """Number of score maps of the student, as mmseg's test-time augmentation asks.

        A segmentor that is no ``EncoderDecoder`` may not say; it has one per class.
        """
        return getattr(self.student, 'out_channels', self.num_classes)

    def set_iter(self, iteration: int, max_iters: int) -> None:
        """Take the time from :class:`mmsemi.engine.SetIterHook`.

        Args:
            iteration: The step about to be done, counted from 0.
            max_iters: Number of steps of the whole training.
        """
        self.iter, self.max_iters = iteration, max_iters
        self._told_time = True

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Do one step of mmengine's runner.

        Raises:
            RuntimeError: If the method changes with time and is not told it.
        """
        if self.needs_time and not self._told_time:
            raise RuntimeError(
                f'{type(self).__name__} changes with time, but nobody tells it the '
                "time: add dict(type='SetIterHook') to custom_hooks"
            )
        return super().train_step(data, optim_wrapper)

    def init_weights(self) -> None:
        """Initialise the student and copy it to the teacher."""
        self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'SemiBaseSegmentor':
        """Switch the student; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @contextmanager
    def predicting_on(self, name: str) -> Iterator[None]:
        """Predict on the network ``name`` inside the block."""
        before, self.predict_on = self.predict_on, name
        try:
            yield
        finally:
            self.predict_on = before

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """Dispatch to :meth:`loss`, :meth:`predict` or the bare network.

        Args:
            inputs: ``{branch: (N, 3, H, W)}`` for ``mode='loss'``, else
                (N, 3, H, W).
            data_samples: ``{branch: [SegDataSample]}`` for ``mode='loss'``,
                else ``[SegDataSample]`` or None.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if mode == 'loss':
            self._check_branches(inputs)
            return self.loss(inputs, data_samples)
        network = self.networks()[self.predict_on]
        if mode == 'predict':
            return network.predict(inputs, data_samples)
        if mode == 'tensor':
            return network(inputs, data_samples, mode='tensor')
        raise ValueError(f"mode={mode!r}: choose 'loss', 'predict' or 'tensor'")

    def _check_branches(self, inputs: Any) -> None:
        found = list(inputs) if isinstance(inputs, dict) else []
        missing = [name for name in self.branches if name not in found]
        if missing:
            raise ValueError(
                f'{type(self).__name__} trains on the branches {list(self.branches)}, '
                f'but the batch has no {missing}: draw from parts that have them '
                '(num_per_source), end their pipelines with MultiBranch and set '
                "collate_fn=dict(type='branch_collate')"
            )

    def upsample(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Resize scores (N, C, h, w) to ``size`` as the segmentor's own prediction."""
        align_corners = self.student.align_corners
        return resize(
            scores, tuple(size), None, 'bilinear', align_corners, warning=False
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        self._spread_plain_checkpoint(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _spread_plain_checkpoint(self, state_dict: dict, prefix: str) -> None:
        """Rename the keys of a plain segmentor for student and teacher."""
        names = tuple(f'{prefix}{name}.' for name in self.networks())
        if not state_dict or any(key.startswith(names) for key in state_dict):
            return
        known = {f'{prefix}{key}' for key in self.student.state_dict()}
        plain = [key for key in state_dict if key in known]
        for key in plain:
            value = state_dict.pop(key)
            for name in names:
                state_dict[name + key[len(prefix) :]] = value


def stack_labels(data_samples: SampleList) -> Tensor:
    """Stack the labels of a branch.

    Returns:
        (N, H, W) long.
    """
    return torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples])


def stack_valid(data_samples: SampleList) -> Tensor:
    """Stack the maps of real (not padded) pixels of a branch.

    Returns:
        (N, H, W) bool.

    Raises:
        ValueError: If a sample has no such map.
    """
    if not all('valid' in sample for sample in data_samples):
        raise ValueError(
            'an unlabelled sample does not say which pixels are padding: end its '
            'branch with PackSemiInputs, not with PackSegInputs'
        )
    return torch.stack([sample.valid.data.squeeze(0) for sample in data_samples])


def join_images(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """Concatenate images (N, 3, H, W) that go through a network together.

    Raises:
        ValueError: If their sizes differ.
    """
    if labeled.shape[1:] != unlabeled.shape[1:]:
        raise ValueError(
            f'labelled images are {tuple(labeled.shape[2:])} and unlabelled ones '
            f'{tuple(unlabeled.shape[2:])} after padding, but go through the network '
            'together: give both pipelines the same crop_size'
        )
    return torch.cat([labeled, unlabeled])


def resize_nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (N, H, W), bool or of numbers below 2**24, to their nearest pixel."""
    resized = F.interpolate(maps[:, None].float(), list(size), mode='nearest-exact')
    return resized[:, 0].to(maps.dtype)
