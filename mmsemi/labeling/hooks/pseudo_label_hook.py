"""Pseudo-labels at the end of a training, for the next stage."""

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.labeling.ensemble import Ensemble
from mmsemi.labeling.images import refuse_labeled, tags_to_label
from mmsemi.labeling.networks import choose_networks, make_manifest
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.pseudo_labeling import generate_pseudo_labels
from mmsemi.labeling.result import LabelingResult
from mmsemi.registry import HOOKS

from .labeling_hook import LabelingHook, source_name


@HOOKS.register_module()
class PseudoLabelHook(LabelingHook):
    """Label a list of images with the trained networks, after the last step.

    Put the hook into the config of the stage that trains the labeller.

    Args:
        dataset: See :class:`LabelingHook`. Its list may be written by
            :class:`ReliabilityHook` at the end of the same training.
        networks: Names of the networks that label together. By default the one
            that the method predicts on, or all if it predicts on a fusion.
        checkpoint: ``'last'``, or ``'best'``: the one that ``save_best`` of the
            checkpoint hook keeps, which has been chosen on the validation images.
            Defaults to ``'last'``.
        scales: Of the test-time augmentation. Defaults to (1.0,).
        flip: Also predict the mirrored image. Defaults to False.
        weights: Weight of each network. By default equal ones.
        noise: Bound of the pixel noise on the weight of the first of two
            networks. Defaults to 0.
        threshold: Least probability of a pixel that is not void. By default every
            pixel is labelled.
        soft: Also keep the probabilities. Defaults to False.
        batch_size: Images of equal size in a batch. By default up to 8 on a GPU, 1 on a
            CPU.
        amp: Half precision. Defaults to False.
        fuse: What is averaged over the views: ``'softmax'`` or ``'logits'``. Defaults
            to ``'softmax'``.
        tags: File of image tags (``tools/make_image_tags.py``), or folder of VOC's
            XMLs: a pixel gets the most likely class that its image is tagged with. By
            default all classes may be.
        allow_empty: Whether an image may be tagged with nothing but background.
            Defaults to False.
        **shared: ``part``, ``out_dir`` (``'pseudo_labels'``), ``num_workers`` and
            ``truth_dir`` of :class:`LabelingHook`.

    Raises:
        ValueError: As :class:`LabelingHook`; before the first step, if a value is
            outside its range, images to label have true labels in the training, an
            image has no tags, or the best checkpoint is asked for and none is kept.
        FileNotFoundError: As :class:`LabelingHook`, or ``tags`` are not there.
    """

    out_dir_default = 'pseudo_labels'
    list_may_come_later = True

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        networks: Sequence[str] | None = None,
        checkpoint: str = 'last',
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        weights: Sequence[float] | None = None,
        noise: float = 0.0,
        threshold: float | None = None,
        soft: bool = False,
        batch_size: int | None = None,
        amp: bool = False,
        fuse: str = 'softmax',
        tags: str | None = None,
        allow_empty: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(dataset, **shared)
        if checkpoint not in ('last', 'best'):
            raise ValueError(
                f"PseudoLabelHook checkpoint={checkpoint!r}: choose 'last' or 'best'"
            )
        for name, value in dict(scales=scales, weights=weights).items():
            if value is not None and not _are_numbers(value):
                raise ValueError(
                    f'PseudoLabelHook {name}={value!r}: give a list of numbers, e.g. '
                    '[1.0]'
                )
        if not isinstance(flip, bool) or not _are_numbers([noise]):
            raise ValueError(
                f'PseudoLabelHook flip={flip!r}, noise={noise!r}: give flip=True or '
                'False, and a number as noise'
            )
        self.names = networks
        self.checkpoint = checkpoint
        self.soft = soft
        self.batch_size = batch_size
        self.tags, self.allow_empty = tags, allow_empty
        self.settings: dict[str, Any] = dict(
            scales=list(scales),
            flip=flip,
            weights=weights and list(weights),
            noise=noise,
            threshold=threshold,
            amp=amp,
            fuse=fuse,
        )

    def check(self, runner: Runner) -> None:
        """Check networks, settings and checkpoint."""
        model = unwrapped(runner)
        networks = choose_networks(model, self.names)
        with evaluating(model):
            Ensemble(list(networks.values()), **self.settings)
        if self.checkpoint == 'best':
            _best_hook(runner)

    def check_images(self, runner: Runner, dataset: UnlabeledDataset) -> None:
        """Check the tags."""
        self._read_tags(runner, dataset)

    def images(self, runner: Runner) -> UnlabeledDataset:
        """Build the images, and refuse those that have true labels."""
        dataset = super().images(runner)
        refuse_labeled(dataset, runner.train_dataloader.dataset)
        return dataset

    def networks(self, runner: Runner) -> dict[str, nn.Module]:
        """Return the networks of the last or the best checkpoint."""
        model = unwrapped(runner)
        if self.checkpoint == 'best':
            # the training's own weights stay as they are
            model, path = copy.deepcopy(model), _best_path(runner)
            load_checkpoint(model, path, map_location='cpu', logger=runner.logger)
        return choose_networks(model, self.names)

    def label(
        self,
        runner: Runner,
        networks: Mapping[str, nn.Module],
        dataset: UnlabeledDataset,
    ) -> LabelingResult:
        """Write the labels."""
        last = self.checkpoint == 'last'
        metainfo = _metainfo(runner)
        tags = self._read_tags(runner, dataset)
        manifest = make_manifest(
            networks,
            dataset,
            metainfo,
            dict(self.settings, soft=self.soft),
            tags,
            model=source_name(runner),
            checkpoints=[f'iteration {runner.iter}' if last else _best_path(runner)],
            tag_file=self.tags,
        )
        store = PseudoLabelStore(
            self.folder(runner),
            manifest,
            metainfo.get('palette') or (),
            soft=self.soft,
            overwrite=True,
        )
        return generate_pseudo_labels(
            list(networks.values()),
            dataset,
            store,
            preprocessor=unwrapped(runner).data_preprocessor,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            truth_dir=self.truth_dir,
            tags=tags,
            **self.settings,
        )

    def _read_tags(self, runner: Runner, dataset: UnlabeledDataset) -> Tensor | None:
        """Return the tags of the images (N, C); None without a file."""
        if self.tags is None:
            return None
        classes = _metainfo(runner).get('classes')
        return tags_to_label(self.tags, dataset, classes, self.allow_empty)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in values
    )


def _metainfo(runner: Runner) -> dict:
    return getattr(runner.train_dataloader.dataset, 'metainfo', {})


def _best_hook(runner: Runner) -> CheckpointHook:
    """Return the hook that keeps one best checkpoint."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hasattr(hook, 'best_ckpt_path'):
            return hook
    raise ValueError(
        "PseudoLabelHook checkpoint='best', but no best checkpoint is kept: set "
        "default_hooks.checkpoint.save_best to one metric, e.g. 'mIoU', or take 'last'"
    )


def _best_path(runner: Runner) -> str:
    hook = _best_hook(runner)
    path = hook.best_ckpt_path
    # the folder may have been moved since the path was noted
    moved = os.path.join(hook.out_dir, os.path.basename(path or ''))
    if not os.path.isfile(moved):
        raise FileNotFoundError(
            f'{hook.out_dir} has no best checkpoint (noted: {path}): let the '
            "training validate, or set PseudoLabelHook checkpoint='last'"
        )
    return moved
