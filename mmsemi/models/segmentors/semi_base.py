"""What all methods share: their networks, prediction, loading. No loss."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.models.data_preprocessors.multi_branch_data_preprocessor import is_plain
from mmsemi.models.decode_heads.decoding import with_score_maps
from mmsemi.models.utils.lengths import warmup_steps
from mmsemi.registry import MODELS


class SemiBaseSegmentor(BaseModel):
    """A student built from any mmseg segmentor, and its teacher.

    The base builds, initialises, loads and predicts; a method adds its
    ``loss(inputs, data_samples)`` and nothing is hidden from it here. A method with
    other networks says which: ``_build_networks()`` makes them, ``networks()`` names
    them, and ``followers`` those that no gradient trains.

    * The teacher is a deepcopy of the student without gradient, in eval mode
      whatever ``train()`` says; :class:`mmsemi.engine.MeanTeacherHook` moves it.
    * A plain checkpoint of a segmentor (a supervised run, or a published model)
      loads into every network: each gets the weights that it has.
    * ``networks()`` are those that predict; ``predict_on`` chooses.

    Args:
        segmentor: Config of the student, any mmseg segmentor.
        *further: Configs of the other networks, from a method that has them.
        data_preprocessor: Config of the training preprocessor. By default a
            :class:`MultiBranchDataPreprocessor` around the segmentor's own, or around
            mmseg's that is given here (mmengine's runner adds the config's).
        predict_on: Network of validation and test. Defaults to ``'teacher'``.

    Raises:
        ValueError: If ``predict_on`` names no network, the segmentor has no
            preprocessor or no class scores, or its head is binary (one channel).
    """

    branches: tuple[str, ...] = ('sup',)
    """Branches that a training batch must have."""

    followers: tuple[str, ...] = ('teacher',)
    """Networks that no gradient trains: copies of the first at the start."""

    needs_time = False
    """Whether a step depends on :meth:`set_iter`."""

    needs_mean_teacher = False
    """Whether :class:`mmsemi.engine.MeanTeacherHook` must move the teacher."""

    warmup_iters: float = 0
    """Length of a method's start on labels alone: steps, or a share of the training."""

    loss: Callable[..., dict[str, Tensor]]
    student: Any
    teacher: Any

    def __init__(
        self,
        segmentor: dict,
        *further: dict,
        data_preprocessor: dict | None = None,
        predict_on: str = 'teacher',
    ) -> None:
        if data_preprocessor is None or (self.branches and is_plain(data_preprocessor)):
            own = segmentor.get('data_preprocessor', data_preprocessor)
            data_preprocessor = self._default_preprocessor({'data_preprocessor': own})
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor))
        # Building writes into the config it is given.
        configs = copy.deepcopy((segmentor, *further))
        self._build_networks(*map(with_score_maps, configs))
        self.iter, self.max_iters, self.in_warmup = 0, 1, False
        self._told_time = False
        if self.out_channels == 1:
            raise ValueError(
                'the decode head has one output channel, but pseudo-labels come from '
                'a softmax over the classes: set out_channels=num_classes (2 for '
                'foreground and background) and use_sigmoid=False'
            )
        if predict_on not in self.predictors():
            raise ValueError(
                f'predict_on={predict_on!r} is not a network of '
                f'{type(self).__name__}: choose from {self.predictors()}'
            )
        self.predict_on = predict_on

    def _build_networks(self, *segmentors: dict) -> None:
        """Build what ``networks()`` returns from configs that are our own."""
        (segmentor,) = segmentors
        self.student = MODELS.build(segmentor)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.teacher.eval()

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

    def predictors(self) -> list[str]:
        """Return what ``predict_on`` may be: the networks, and fusions of them."""
        return list(self.networks())

    @classmethod
    def network_config(cls, config: dict, name: str) -> dict:
        """Return the segmentor of network ``name`` in the method's config."""
        return config['segmentor']

    @property
    def first_network(self) -> Any:
        """The network whose properties are those of the method."""
        return next(iter(self.networks().values()))

    @property
    def num_classes(self) -> int:
        """Number of classes of the first network."""
        return self.first_network.num_classes

    @property
    def out_channels(self) -> int:
        """Number of its score maps; what is no ``EncoderDecoder`` may not say."""
        return getattr(self.first_network, 'out_channels', self.num_classes)

    @property
    def align_corners(self) -> bool:
        """How the first network resizes its scores."""
        return self.first_network.align_corners

    def set_iter(self, iteration: int, max_iters: int) -> None:
        """Take the time from :class:`mmsemi.engine.SetIterHook`.

        Args:
            iteration: The step about to be done, counted from 0.
            max_iters: Number of steps of the whole training.

        Raises:
            ValueError: If the method's warm-up leaves none of them.
        """
        self.in_warmup = iteration < self.warmup_steps(max_iters)
        self.iter, self.max_iters = iteration, max_iters
        self._told_time = True

    def warmup_steps(self, max_iters: int) -> int:
        """Return the steps on labels alone in a training of ``max_iters`` steps."""
        name = f'{type(self).__name__} warmup_iters'
        return warmup_steps(self.warmup_iters, max_iters, name)

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
        """Initialise each network by itself, and followers as copies of the first."""
        for name, network in self.networks().items():
            if name in self.followers:
                network.load_state_dict(self.first_network.state_dict())
            else:
                network.init_weights()

    def train(self, mode: bool = True) -> 'SemiBaseSegmentor':
        """Switch the networks; followers stay in eval mode."""
        super().train(mode)
        for name in self.followers:
            self.networks()[name].eval()
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
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs, data_samples)
        raise ValueError(f"mode={mode!r}: choose 'loss', 'predict' or 'tensor'")

    def predict(self, inputs: Tensor, data_samples: Any = None) -> SampleList:
        """Predict images (N, 3, H, W) as mmseg does, on ``predict_on``."""
        return self.networks()[self.predict_on].predict(inputs, data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        """Return the scores (N, C, h, w) of ``predict_on``."""
        return self.networks()[self.predict_on](inputs, data_samples, mode='tensor')

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
        return resize(
            scores, tuple(size), None, 'bilinear', self.align_corners, warning=False
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        self._spread_plain_checkpoint(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _spread_plain_checkpoint(self, state_dict: dict, prefix: str) -> None:
        """Rename the keys of a plain segmentor for the networks that have them."""
        names = tuple(f'{prefix}{name}.' for name in self.networks())
        if not state_dict or any(key.startswith(names) for key in state_dict):
            return
        plain = dict(state_dict)
        for name, network in zip(names, self.networks().values(), strict=True):
            for key in plain.keys() & {prefix + key for key in network.state_dict()}:
                state_dict[name + key.removeprefix(prefix)] = plain[key]
                state_dict.pop(key, None)


def second_network(segmentor: dict, change: dict) -> dict:
    """Return the whole config of another network of a method.

    Args:
        segmentor: Config of the first.
        change: Config of the other, or what differs from the first. A whole config has
            a ``type`` and a ``backbone``.
    """
    if 'backbone' in change and 'type' in change:
        return change
    merged = Config(dict(network=copy.deepcopy(segmentor)))
    merged.merge_from_dict(dict(network=copy.deepcopy(change)))
    return merged.network
