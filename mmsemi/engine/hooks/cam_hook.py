"""Seeds at the end of the training of a classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsemi.datasets.cam_store import CamStore, read_cam_manifest
from mmsemi.datasets.image_tags import class_names
from mmsemi.datasets.pseudo_label_folder import check_label_folder
from mmsemi.engine.cams import make_cams
from mmsemi.engine.crf_labels import check_workers
from mmsemi.engine.image_batches import image_ids, plan_batches
from mmsemi.engine.labeling_setup import (
    broadcast_weights,
    images_to_label,
    make_manifest,
)
from mmsemi.engine.pseudo_labeling import truth_files
from mmsemi.engine.seed_setup import (
    in_work_dir,
    refuse_twice,
    seed_tags,
    source_name,
)
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.evaluation.cam_evaluation import evaluate_cams
from mmsemi.models.utils.cam import MODES
from mmsemi.models.utils.cam_views import view_sizes
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class CamHook(Hook):
    """Write the activation maps of a list of images after the last step.

    The maps of an image's own classes at its own size, over scales and flips,
    normalised, in half precision (:class:`mmsemi.datasets.cam_store.CamStore`). A
    resumed run whose training is done goes on where it was cut. Images are dealt to
    the processes in turn.

    Args:
        dataset: Config of an ``UnlabeledDataset``; without a ``pipeline``, images are
            loaded as those of the test.
        tags: File of image tags (``tools/make_image_tags.py``), or folder of VOC's
            XMLs.
        classes: Names of the classes, the background first, or the name of a data
            set that has them.
        out_dir: Folder of the seeds, relative to the work dir. Defaults to ``'cams'``.
        scales: Of the image. Defaults to PSA's, (1, 0.5, 1.5, 2).
        squares: Instead, sides of squares, TransCAM's (256, 512, 768).
        flip: Also the mirrored views. Defaults to True.
        refine: Spread the maps of each view along its affinity, as TransCAM along its
            attention. Defaults to False.
        normalize: Of :func:`mmsemi.models.utils.cam.normalize_cam`. Defaults to
            ``'seam'``.
        num_workers: Threads that load images. Defaults to 2.
        truth_dir: Folder of true masks, for a report only: the mIoU under each
            background threshold is logged, and drawn to ``<out_dir>.png``. By default
            no mask is opened.

    Raises:
        ValueError: Before the first step: a value is outside its range, the model
            makes no such maps, an image has no tags or a class no image, or the
            folder holds something else.
        FileNotFoundError: An image, a mask of ``truth_dir`` or the tags are not there.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: dict,
        tags: str,
        classes: str | Sequence[str],
        out_dir: str = 'cams',
        scales: Sequence[float] = (1.0, 0.5, 1.5, 2.0),
        squares: Sequence[int] | None = None,
        flip: bool = True,
        refine: bool = False,
        normalize: str = 'seam',
        num_workers: int = 2,
        truth_dir: str | None = None,
    ) -> None:
        if normalize not in MODES:
            raise ValueError(f'normalize={normalize!r}: choose one of {MODES}')
        view_sizes((8, 8), scales, squares)
        check_workers(num_workers)
        self.dataset, self.tags, self.classes = dataset, tags, classes
        self.out_dir = out_dir
        self.views: dict[str, Any] = dict(
            scales=list(scales),
            squares=squares and list(squares),
            flip=flip,
            refine=refine,
        )
        self.normalize = normalize
        self.num_workers = num_workers
        self.truth_dir = truth_dir

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        model = unwrapped(runner)
        number = len(class_names(self.classes))
        if not hasattr(model, 'cams') or model.num_classes != number:
            raise ValueError(
                f'CamHook needs a classifier of {number} classes (the background '
                f'included), but the model is {type(model).__name__} with '
                f'{getattr(model, "num_classes", "no")} classes: correct classes or '
                "the head's num_classes, which is one less"
            )
        if self.views['refine'] and not model.head.has_affinity:
            raise ValueError(
                'CamHook refine=True, but the head has no affinity: set its '
                'affinity_channels, or refine=False'
            )
        folder = self._folder(runner)
        if read_cam_manifest(folder) is None:
            check_label_folder(folder)
        refuse_twice(self, runner, folder)
        dataset = images_to_label(self.dataset, runner.cfg)
        plan_batches(dataset)
        seed_tags(self.tags, dataset, self.classes)
        if self.truth_dir is not None:
            truth_files(dataset, image_ids(dataset), self.truth_dir)

    def after_train(self, runner: Runner) -> None:
        """Write the maps."""
        model = unwrapped(runner)
        networks = {'classifier': model}
        broadcast_weights(networks)
        dataset = images_to_label(self.dataset, runner.cfg)
        tags = seed_tags(self.tags, dataset, self.classes)
        manifest = make_manifest(
            networks,
            dataset,
            dict(classes=class_names(self.classes)),
            dict(self.views, normalize=self.normalize),
            tags,
            model=source_name(runner),
            checkpoints=[f'iteration {runner.iter}'],
            tag_file=self.tags,
        )
        store = CamStore(self._folder(runner), manifest, overwrite=True)
        runner.logger.info(f'Seeds of {len(dataset)} images into {store.folder}')
        with evaluating(model):
            written, there = make_cams(
                model,
                dataset,
                store,
                tags,
                normalize=self.normalize,
                num_workers=self.num_workers,
                **self.views,
            )
        runner.logger.info(f'{store.folder}: {written} seeds written, {there} there')
        if self.truth_dir is not None and is_main_process():
            ids = image_ids(dataset)
            files = truth_files(dataset, ids, self.truth_dir)
            found = evaluate_cams(store, dict(zip(ids, files, strict=True)))
            found.save_curve(f'{store.folder}.png')
            runner.logger.info(f'{store.folder}: {found}')

    def _folder(self, runner: Runner) -> Path:
        return in_work_dir(runner, self.out_dir)
