"""Pseudo-labels from seeds, spread by a trained AffinityNet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner
from torch import nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.engine.unwrap import unwrapped
from mmsemi.labeling.cam_store import CamStore
from mmsemi.labeling.crf_folder import check_crf
from mmsemi.labeling.networks import weights_sha256
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.random_walk import walk_seeds
from mmsemi.labeling.result import LabelingResult
from mmsemi.labeling.seed_setup import class_palette, label_manifest, seed_images
from mmsemi.models.utils.affinity import random_walk
from mmsemi.registry import HOOKS

from .labeling_hook import LabelingHook, source_name


@HOOKS.register_module()
class RandomWalkHook(LabelingHook):
    """Spread seeds along the learnt affinities, and label all pixels.

    PSA: after the last step the seeds, with a background, walk ``2 ** log_t`` steps
    along the affinities of each image; the largest map is the label, which a dense
    CRF may sharpen (TransCAM). The last stage learns from these labels.

    Args:
        dataset: See :class:`LabelingHook`; the images that the seeds were made of.
        cams: Folder of the seeds, relative to the work dir, or absolute.
        classes: Of the seeds, for the colours of the label maps.
        background: ``dict(threshold=0.42)`` (the default, TransCAM's) or
            ``dict(power=16)`` (PSA's).
        beta: Exponent of the affinities. Defaults to 14, TransCAM's; PSA has 8.
        log_t: Logarithm to base 2 of the number of steps. Defaults to 7, TransCAM's;
            PSA has 8.
        crf: Arguments of :func:`mmsemi.labeling.crf.crf_label`. By default no
            CRF, as PSA.
        **shared: ``part``, ``out_dir`` (``'pseudo_labels'``), ``num_workers`` and
            ``truth_dir`` of :class:`LabelingHook`.

    Raises:
        ValueError: As :class:`LabelingHook`; a setting is outside its range; before the
            first step, if the seeds are not all there or of another list, or the model
            has no affinity.
        FileNotFoundError: As :class:`LabelingHook`.
    """

    out_dir_default = 'pseudo_labels'

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        cams: str,
        classes: str | Sequence[str],
        background: Mapping[str, float] | None = None,
        beta: float = 14,
        log_t: int = 7,
        crf: Mapping[str, Any] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(dataset, **shared)
        self.cams, self.classes = cams, classes
        self.walk: dict[str, Any] = dict(
            background=dict(background or dict(threshold=0.42)), beta=beta, log_t=log_t
        )
        self.crf = crf if crf is None else dict(crf)
        check_crf(self.crf, [self.walk['background']])
        random_walk(torch.zeros(1, 1, 1), torch.ones(1, 1), beta=beta, log_t=log_t)

    def check(self, runner: Runner) -> None:
        """Check the model."""
        model = unwrapped(runner)
        if not hasattr(model, 'radius'):
            raise ValueError(
                f'RandomWalkHook needs an AffinityNet, but the model is '
                f'{type(model).__name__}: put the hook into its stage'
            )

    def check_images(self, runner: Runner, dataset: UnlabeledDataset) -> None:
        """Check the seeds."""
        seeds = CamStore.load(Path(runner.work_dir, self.cams))
        images = seed_images(seeds, dataset, self.classes)
        missing = [name for name in images if not seeds.path(name).is_file()]
        if missing:
            raise ValueError(
                f'{seeds.folder} has no seed of {missing[0]} and {len(missing) - 1} '
                'others: make them with tools/make_cams.py and the checkpoint and '
                'settings of the stage that wrote them'
            )

    def networks(self, runner: Runner) -> dict[str, nn.Module]:
        """Return the AffinityNet."""
        return {'affinity': unwrapped(runner)}

    def label(
        self,
        runner: Runner,
        networks: Mapping[str, nn.Module],
        dataset: UnlabeledDataset,
    ) -> LabelingResult:
        """Write the labels."""
        network = networks['affinity']
        settings = dict(self.walk, crf=self.crf)
        seeds = CamStore.load(Path(runner.work_dir, self.cams))
        manifest = label_manifest(
            seeds,
            [weights_sha256(network)],
            settings,
            model=source_name(runner),
            checkpoints=[f'iteration {runner.iter}'],
        )
        palette = class_palette(self.classes)
        store = PseudoLabelStore(self.folder(runner), manifest, palette, overwrite=True)
        workers = self.num_workers
        result = walk_seeds(
            network, dataset, seeds, store, num_workers=workers, **settings
        )
        self.report_truth(runner, store, dataset)
        return result
