"""Sure labels from seeds, for AffinityNet."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.datasets.cam_store import CamStore, read_cam_manifest
from mmsemi.datasets.pseudo_label_folder import check_label_folder
from mmsemi.datasets.pseudo_label_store import PseudoLabelStore
from mmsemi.engine.crf_labels import check_crf, check_workers, crf_seeds
from mmsemi.engine.image_batches import image_ids
from mmsemi.engine.labeling_setup import images_to_label
from mmsemi.engine.pseudo_labeling import truth_files
from mmsemi.engine.seed_setup import (
    class_palette,
    in_work_dir,
    label_manifest,
    miou_with_truth,
    refuse_twice,
    seed_images,
    source_name,
)
from mmsemi.registry import HOOKS

from .cam_hook import CamHook


@HOOKS.register_module()
class AffinityLabelHook(Hook):
    """Turn seeds into labels of the pixels that are sure, after the last step.

    PSA, TransCAM: a pixel gets a class where that beats a strong background,
    background where no class beats a weak one, and is void else; both label maps go
    through a dense CRF first. Stands behind :class:`CamHook`, or reads the seeds of
    an earlier stage.

    Args:
        dataset: Config of the ``UnlabeledDataset`` that the seeds were made of.
        classes: Of the seeds, for the colours of the label maps.
        cams: Folder of the seeds, relative to the work dir. Defaults to ``'cams'``.
        out_dir: Folder of the labels, relative to it. Defaults to
            ``'affinity_labels'``.
        foreground: The strong background: ``dict(threshold=0.6)`` (the default,
            TransCAM's) or ``dict(power=4)`` (PSA's).
        background: The weak one: ``dict(threshold=0.25)`` or ``dict(power=32)``.
        crf: Arguments of :func:`mmsemi.engine.crf_labels.crf_label`. None leaves the
            CRF out, which is the default.
        num_workers: Processes of the CRF; 0 for none. Defaults to 2.
        truth_dir: Folder of true masks, for a report of the labels' mIoU only.

    Raises:
        ValueError: A setting is unknown or outside its range; before the first step, if
            a folder holds something else; after the last, if the seeds are of another
            list.
        FileNotFoundError: A mask of ``truth_dir`` is not there.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: dict,
        classes: str | Sequence[str],
        cams: str = 'cams',
        out_dir: str = 'affinity_labels',
        foreground: Mapping[str, float] | None = None,
        background: Mapping[str, float] | None = None,
        crf: Mapping[str, Any] | None = None,
        num_workers: int = 2,
        truth_dir: str | None = None,
    ) -> None:
        self.dataset, self.classes = dataset, classes
        self.cams, self.out_dir = cams, out_dir
        self.backgrounds = [
            dict(foreground or dict(threshold=0.6)),
            dict(background or dict(threshold=0.25)),
        ]
        self.crf = crf if crf is None else dict(crf)
        check_crf(self.crf, self.backgrounds)
        check_workers(num_workers)
        self.num_workers = num_workers
        self.truth_dir = truth_dir

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        self._check_seeds(runner)
        folder = in_work_dir(runner, self.out_dir)
        check_label_folder(folder)
        refuse_twice(self, runner, folder)
        dataset = images_to_label(self.dataset, runner.cfg)
        if self.truth_dir is not None:
            truth_files(dataset, image_ids(dataset), self.truth_dir)

    def _check_seeds(self, runner: Runner) -> None:
        """Refuse a folder of seeds that is not there and that nobody will write."""
        folder = in_work_dir(runner, self.cams)
        before = runner.hooks[: runner.hooks.index(self)]
        written = any(
            in_work_dir(runner, hook.out_dir) == folder
            for hook in before
            if isinstance(hook, CamHook)
        )
        if not written and read_cam_manifest(folder) is None:
            raise ValueError(
                f'AffinityLabelHook reads seeds of {folder}, which holds none, and no '
                'CamHook before it writes them there: correct cams or the out_dir of '
                'CamHook, or list CamHook first'
            )

    def after_train(self, runner: Runner) -> None:
        """Write the labels."""
        dataset = images_to_label(self.dataset, runner.cfg)
        seeds = CamStore.load(in_work_dir(runner, self.cams))
        images = seed_images(seeds, dataset, self.classes)
        settings = dict(backgrounds=self.backgrounds, crf=self.crf)
        store = PseudoLabelStore(
            in_work_dir(runner, self.out_dir),
            label_manifest(seeds, [], settings, model=source_name(runner)),
            class_palette(self.classes),
            overwrite=True,
        )
        runner.logger.info(f'Sure labels of {len(images)} images into {store.folder}')
        result = crf_seeds(
            seeds,
            images,
            store,
            backgrounds=self.backgrounds,
            crf=self.crf,
            num_workers=self.num_workers,
        )
        runner.logger.info(f'{store.folder}: {result}')
        if self.truth_dir is not None:
            miou = miou_with_truth(store, dataset, self.truth_dir)
            runner.logger.info(
                f'{store.folder}: mIoU with the truth {miou:.2f}, of the sure pixels'
            )
