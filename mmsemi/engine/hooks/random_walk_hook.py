"""Pseudo-labels from seeds, spread by a trained AffinityNet."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.datasets.cam_store import CamStore
from mmsemi.datasets.pseudo_label_folder import check_label_folder
from mmsemi.datasets.pseudo_label_store import PseudoLabelStore
from mmsemi.engine.crf_labels import check_crf, check_workers
from mmsemi.engine.image_batches import image_ids
from mmsemi.engine.labeling_setup import (
    broadcast_weights,
    images_to_label,
    weights_sha256,
)
from mmsemi.engine.pseudo_labeling import truth_files
from mmsemi.engine.random_walk import walk_seeds
from mmsemi.engine.seed_setup import (
    class_palette,
    in_work_dir,
    label_manifest,
    miou_with_truth,
    refuse_twice,
    seed_images,
    source_name,
)
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.models.utils.affinity import random_walk
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class RandomWalkHook(Hook):
    """Spread seeds along the learnt affinities, and label all pixels.

    PSA: after the last step the seeds, with a background, walk ``2 ** log_t`` steps
    along the affinities of each image; the largest map is the label, which a dense
    CRF may sharpen (TransCAM). The last stage learns from these labels. A resumed run
    goes on where it was cut; images are dealt to the processes in turn.

    Args:
        dataset: Config of the ``UnlabeledDataset`` that the seeds were made of.
        cams: Folder of the seeds, relative to the work dir, or absolute.
        classes: Of the seeds, for the colours of the label maps.
        out_dir: Folder of the labels, relative to the work dir. Defaults to
            ``'pseudo_labels'``.
        background: ``dict(threshold=0.42)`` (the default, TransCAM's) or
            ``dict(power=16)`` (PSA's).
        beta: Exponent of the affinities. Defaults to 14, TransCAM's; PSA has 8.
        log_t: Logarithm to base 2 of the number of steps. Defaults to 7, TransCAM's;
            PSA has 8.
        crf: Arguments of :func:`mmsemi.engine.crf_labels.crf_label`. By default no
            CRF, as PSA.
        num_workers: Threads that load images, and processes of the CRF. Defaults to 2.
        truth_dir: Folder of true masks, for a report of the labels' mIoU only.

    Raises:
        ValueError: A setting is outside its range; before the first step: the seeds are
            not all there or of another list, the model has no affinity, or a folder
            holds something else.
        FileNotFoundError: A mask of ``truth_dir`` is not there.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: dict,
        cams: str,
        classes: str | Sequence[str],
        out_dir: str = 'pseudo_labels',
        background: Mapping[str, float] | None = None,
        beta: float = 14,
        log_t: int = 7,
        crf: Mapping[str, Any] | None = None,
        num_workers: int = 2,
        truth_dir: str | None = None,
    ) -> None:
        self.dataset, self.cams, self.classes = dataset, cams, classes
        self.out_dir = out_dir
        self.walk: dict[str, Any] = dict(
            background=dict(background or dict(threshold=0.42)), beta=beta, log_t=log_t
        )
        self.crf = crf if crf is None else dict(crf)
        check_crf(self.crf, [self.walk['background']])
        check_workers(num_workers)
        random_walk(torch.zeros(1, 1, 1), torch.ones(1, 1), beta=beta, log_t=log_t)
        self.num_workers = num_workers
        self.truth_dir = truth_dir

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        model = unwrapped(runner)
        if not hasattr(model, 'radius'):
            raise ValueError(
                f'RandomWalkHook needs an AffinityNet, but the model is '
                f'{type(model).__name__}: put the hook into its stage'
            )
        folder = in_work_dir(runner, self.out_dir)
        check_label_folder(folder)
        refuse_twice(self, runner, folder)
        dataset = images_to_label(self.dataset, runner.cfg)
        seeds = CamStore.load(in_work_dir(runner, self.cams))
        images = seed_images(seeds, dataset, self.classes)
        missing = [name for name in images if not seeds.path(name).is_file()]
        if missing:
            raise ValueError(
                f'{seeds.folder} has no seed of {missing[0]} and {len(missing) - 1} '
                'others: make them with tools/make_cams.py and the checkpoint and '
                'settings of the stage that wrote them'
            )
        if self.truth_dir is not None:
            truth_files(dataset, image_ids(dataset), self.truth_dir)

    def after_train(self, runner: Runner) -> None:
        """Write the labels."""
        model = unwrapped(runner)
        broadcast_weights({'affinity': model})
        dataset = images_to_label(self.dataset, runner.cfg)
        seeds = CamStore.load(in_work_dir(runner, self.cams))
        manifest = label_manifest(
            seeds,
            [weights_sha256(model)],
            dict(self.walk, crf=self.crf),
            model=source_name(runner),
            checkpoints=[f'iteration {runner.iter}'],
        )
        store = PseudoLabelStore(
            in_work_dir(runner, self.out_dir),
            manifest,
            class_palette(self.classes),
            overwrite=True,
        )
        runner.logger.info(f'Random walk of {len(dataset)} seeds into {store.folder}')
        with evaluating(model):
            result = walk_seeds(
                model,
                dataset,
                seeds,
                store,
                crf=self.crf,
                num_workers=self.num_workers,
                **self.walk,
            )
        runner.logger.info(f'{store.folder}: {result}')
        if self.truth_dir is not None:
            miou = miou_with_truth(store, dataset, self.truth_dir)
            runner.logger.info(f'{store.folder}: mIoU with the truth {miou:.2f}')
