"""What all methods share: their networks, prediction, loading. No loss."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel
from mmseg.utils import SampleList
from torch import Tensor, nn

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
        ValueError: If ``predict_on`` names no network, or the segmentor has
            no preprocessor.
    """

    loss: Callable[..., dict[str, Tensor]]

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
            type='MultiBranchDataPreprocessor', data_preprocessor=copy.deepcopy(own)
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that predict, by name."""
        return {'student': self.student, 'teacher': self.teacher}

    @property
    def num_classes(self) -> int:
        """Number of classes of the student."""
        return self.student.num_classes

    def set_iter(self, iteration: int, max_iters: int) -> None:
        """Take the time from :class:`mmsemi.engine.SetIterHook`.

        Args:
            iteration: The step about to be done, counted from 0.
            max_iters: Number of steps of the whole training.
        """
        self.iter, self.max_iters = iteration, max_iters

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
            return self.loss(inputs, data_samples)
        network = self.networks()[self.predict_on]
        if mode == 'predict':
            return network.predict(inputs, data_samples)
        if mode == 'tensor':
            return network(inputs, data_samples, mode='tensor')
        raise ValueError(f"mode={mode!r}: choose 'loss', 'predict' or 'tensor'")

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object
    ) -> None:
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
    """
    return torch.stack([sample.valid.data.squeeze(0) for sample in data_samples])
