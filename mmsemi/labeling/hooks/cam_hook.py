"""Seeds at the end of the training of a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.annotations.image_tags import class_names
from mmsemi.engine.unwrap import unwrapped
from mmsemi.labeling.cam_evaluation import evaluate_cams
from mmsemi.labeling.cam_store import CamStore, check_cam_folder
from mmsemi.labeling.image_batches import image_ids
from mmsemi.labeling.networks import make_manifest
from mmsemi.labeling.result import truth_files
from mmsemi.labeling.seed_setup import seed_tags
from mmsemi.labeling.seeds import make_cams
from mmsemi.models.utils.cam import MODES
from mmsemi.models.utils.cam_views import view_sizes
from mmsemi.registry import HOOKS

from .labeling_hook import LabelingHook, source_name


@HOOKS.register_module()
class CamHook(LabelingHook):
    """Write the activation maps of a list of images after the last step.

    The maps of an image's own classes at its own size, over scales and flips,
    normalised, in half precision (:class:`mmsemi.labeling.cam_store.CamStore`).

    Args:
        dataset: See :class:`LabelingHook`.
        tags: File of image tags (``tools/make_image_tags.py``), or folder of VOC's
            XMLs.
        classes: Names of the classes, the background first, or the name of a data
            set that has them.
        scales: Of the image. Defaults to PSA's, (1, 0.5, 1.5, 2).
        squares: Instead, sides of squares, TransCAM's (256, 512, 768).
        flip: Also the mirrored views. Defaults to True.
        refine: Spread the maps of each view along its affinity, as TransCAM along its
            attention. Defaults to False.
        normalize: Of :func:`mmsemi.models.utils.cam.normalize_cam`. Defaults to
            ``'seam'``.
        **shared: ``part``, ``out_dir`` (``'cams'``), ``num_workers`` and ``truth_dir``
            of :class:`LabelingHook`; the report gives the mIoU under each background
            threshold, also drawn to ``<out_dir>.png``.

    Raises:
        ValueError: As :class:`LabelingHook`; before the first step, if a value is
            outside its range, the model makes no such maps, an image has no tags or a
            class no image.
        FileNotFoundError: As :class:`LabelingHook`, or the tags are not there.
    """

    out_dir_default = 'cams'
    check_folder = staticmethod(check_cam_folder)

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        tags: str,
        classes: str | Sequence[str],
        scales: Sequence[float] = (1.0, 0.5, 1.5, 2.0),
        squares: Sequence[int] | None = None,
        flip: bool = True,
        refine: bool = False,
        normalize: str = 'seam',
        **shared: Any,
    ) -> None:
        super().__init__(dataset, **shared)
        if normalize not in MODES:
            raise ValueError(f'normalize={normalize!r}: choose one of {MODES}')
        view_sizes((8, 8), scales, squares)
        self.tags, self.classes = tags, classes
        self.views: dict[str, Any] = dict(
            scales=list(scales),
            squares=squares and list(squares),
            flip=flip,
            refine=refine,
        )
        self.normalize = normalize

    def check(self, runner: Runner) -> None:
        """Check the classifier."""
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

    def check_images(self, runner: Runner, dataset: UnlabeledDataset) -> None:
        """Check the tags."""
        seed_tags(self.tags, dataset, self.classes)

    def networks(self, runner: Runner) -> dict[str, nn.Module]:
        """Return the classifier."""
        return {'classifier': unwrapped(runner)}

    def label(
        self,
        runner: Runner,
        networks: Mapping[str, nn.Module],
        dataset: UnlabeledDataset,
    ) -> str:
        """Write the maps."""
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
        store = CamStore(self.folder(runner), manifest, overwrite=True)
        written, there = make_cams(
            networks['classifier'],
            dataset,
            store,
            tags,
            normalize=self.normalize,
            num_workers=self.num_workers,
            **self.views,
        )
        if self.truth_dir is not None and is_main_process():
            ids = image_ids(dataset)
            files = truth_files(dataset, ids, self.truth_dir)
            found = evaluate_cams(store, dict(zip(ids, files, strict=True)))
            found.save_curve(f'{store.folder}.png')
            runner.logger.info(f'{store.folder}: {found}')
        return f'{written} seeds written, {there} there'
