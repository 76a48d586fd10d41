"""Pseudo-labels at the end of a training, for the next stage."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor

from mmsemi.datasets.pseudo_label_folder import check_label_folder, read_manifest
from mmsemi.datasets.pseudo_label_store import PseudoLabelStore
from mmsemi.engine.ensemble import Ensemble
from mmsemi.engine.image_batches import image_ids, plan_batches
from mmsemi.engine.labeling_setup import (
    broadcast_weights,
    choose_networks,
    images_to_label,
    make_manifest,
    refuse_labeled,
    tags_to_label,
)
from mmsemi.engine.pseudo_labeling import generate_pseudo_labels, truth_files
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Label a list of images with the trained networks, after the last step.

    A resumed run whose training is done goes on with the labels where it was cut;
    each file appears whole. Labels of an earlier training in the same folder are
    deleted. Put the hook into the config of the stage that trains the labeller.

    Args:
        dataset: Config of an ``UnlabeledDataset``; without a ``pipeline``, images
            are loaded as those of the test. Its list may be written by
            :class:`ReliabilityHook` at the end of the same training.
        out_dir: Folder of the labels, relative to the work dir. Defaults to
            ``'pseudo_labels'``.
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
        num_workers: Threads that load images. Defaults to 2.
        truth_dir: Folder of true masks of these images, for a report of the
            labels' mIoU only; their names end with the data set's
            ``seg_map_suffix``. By default no mask is opened.
        amp: Half precision. Defaults to False.
        fuse: What is averaged over the views: ``'softmax'`` or ``'logits'``. Defaults
            to ``'softmax'``.
        tags: File of image tags (``tools/make_image_tags.py``), or folder of VOC's
            XMLs: a pixel gets the most likely class that its image is tagged with. By
            default all classes may be.
        allow_empty: Whether an image may be tagged with nothing but background.
            Defaults to False.

    Raises:
        ValueError: Before the first step: a value is outside its range, the folder
            holds files of another origin or is another hook's, images to label have
            true labels in the training, an image has no tags, or the best checkpoint
            is asked for and none is kept.
        FileNotFoundError: An image, a mask of ``truth_dir``, or ``tags``, is not there.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: dict,
        out_dir: str = 'pseudo_labels',
        networks: Sequence[str] | None = None,
        checkpoint: str = 'last',
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        weights: Sequence[float] | None = None,
        noise: float = 0.0,
        threshold: float | None = None,
        soft: bool = False,
        batch_size: int | None = None,
        num_workers: int = 2,
        truth_dir: str | None = None,
        amp: bool = False,
        fuse: str = 'softmax',
        tags: str | None = None,
        allow_empty: bool = False,
    ) -> None:
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
        self.dataset = dataset
        self.out_dir = out_dir
        self.networks = networks
        self.checkpoint = checkpoint
        self.soft = soft
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.truth_dir = truth_dir
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

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        model = unwrapped(runner)
        networks = choose_networks(model, self.networks)
        with evaluating(model):
            Ensemble(list(networks.values()), **self.settings)
        self._check_folder(runner)
        if self.truth_dir is not None and not os.path.isdir(self.truth_dir):
            raise FileNotFoundError(
                f'PseudoLabelHook truth_dir={self.truth_dir!r} is no folder: correct '
                'it, or leave it out'
            )
        if self.checkpoint == 'best':
            _best_hook(runner)
        listed = self.dataset.get('ann_file')
        root = self.dataset.get('data_root') or ''
        if not listed or os.path.exists(os.path.join(root, listed)):
            dataset = self._images(runner)
            ids = image_ids(dataset)
            plan_batches(dataset)
            self._read_tags(runner, dataset)
            if self.truth_dir is not None:
                truth_files(dataset, ids, self.truth_dir)

    def after_train(self, runner: Runner) -> None:
        """Label the images."""
        dataset = self._images(runner)
        model, path = unwrapped(runner), f'iteration {runner.iter}'
        if self.checkpoint == 'best':
            path = _best_path(runner)
            # the training's own weights stay as they are
            model = copy.deepcopy(model)
            load_checkpoint(model, path, map_location='cpu', logger=runner.logger)
        networks = choose_networks(model, self.networks)
        broadcast_weights(networks)
        metainfo = _metainfo(runner)
        tags = self._read_tags(runner, dataset)
        manifest = make_manifest(
            networks,
            dataset,
            metainfo,
            dict(self.settings, soft=self.soft),
            tags,
            model=Path(runner.cfg.filename or type(model).__name__).name,
            checkpoints=[path],
            tag_file=self.tags,
        )
        store = PseudoLabelStore(
            self._folder(runner),
            manifest,
            metainfo.get('palette') or (),
            soft=self.soft,
            overwrite=True,
        )
        runner.logger.info(f'Labelling {len(dataset)} images into {store.folder}')
        with evaluating(model):
            result = generate_pseudo_labels(
                list(networks.values()),
                dataset,
                store,
                preprocessor=model.data_preprocessor,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
                truth_dir=self.truth_dir,
                tags=tags,
                **self.settings,
            )
        runner.logger.info(f'{store.folder}: {result}')

    def _folder(self, runner: Runner) -> Path:
        return Path(runner.work_dir, self.out_dir)

    def _check_folder(self, runner: Runner) -> None:
        """Refuse a folder with files that are not this hook's to delete."""
        folder = self._folder(runner).resolve()
        check_label_folder(folder)
        for hook in runner.hooks:
            if not isinstance(hook, PseudoLabelHook) or hook is self:
                continue
            other = hook._folder(runner).resolve()
            if folder == other or folder in other.parents or other in folder.parents:
                raise ValueError(
                    f'two PseudoLabelHooks write into {folder} and {other}, and each '
                    "deletes the other's labels: give them out_dirs of their own"
                )
        outside = Path(runner.work_dir).resolve() not in folder.parents
        if outside and runner.iter == 0 and read_manifest(folder) is not None:
            raise ValueError(
                f'{folder} holds labels of another training, which would be deleted: '
                'give PseudoLabelHook an out_dir of its own'
            )

    def _images(self, runner: Runner) -> Any:
        """Build the images, and refuse those that have true labels."""
        dataset = images_to_label(self.dataset, runner.cfg)
        refuse_labeled(dataset, runner.train_dataloader.dataset)
        return dataset

    def _read_tags(self, runner: Runner, dataset: Any) -> Tensor | None:
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
