"""Sure labels from seeds, for AffinityNet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from torch import nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.labeling.cam_store import CamStore, read_cam_manifest
from mmsemi.labeling.crf_folder import check_crf, crf_seeds
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.result import LabelingResult
from mmsemi.labeling.seed_setup import class_palette, label_manifest, seed_images
from mmsemi.registry import HOOKS

from .cam_hook import CamHook
from .labeling_hook import LabelingHook, source_name


@HOOKS.register_module()
class AffinityLabelHook(LabelingHook):
    """Turn seeds into labels of the pixels that are sure, after the last step.

    PSA, TransCAM: a pixel gets a class where that beats a strong background,
    background where no class beats a weak one, and is void else; both label maps go
    through a dense CRF first. Stands behind :class:`CamHook`, or reads the seeds of
    an earlier stage.

    Args:
        dataset: See :class:`LabelingHook`; the images that the seeds were made of.
        classes: Of the seeds, for the colours of the label maps.
        cams: Folder of the seeds, relative to the work dir. Defaults to ``'cams'``.
        foreground: The strong background: ``dict(threshold=0.6)`` (the default,
            TransCAM's) or ``dict(power=4)`` (PSA's).
        background: The weak one: ``dict(threshold=0.25)`` or ``dict(power=32)``.
        crf: Arguments of :func:`mmsemi.labeling.crf.crf_label`. None leaves the
            CRF out, which is the default.
        **shared: ``part``, ``out_dir`` (``'affinity_labels'``), ``num_workers`` and
            ``truth_dir`` of :class:`LabelingHook`.

    Raises:
        ValueError: As :class:`LabelingHook`; a setting is unknown or outside its
            range; before the first step, if nobody will have written the seeds; after
            the last, if they are of another list.
        FileNotFoundError: As :class:`LabelingHook`.
    """

    out_dir_default = 'affinity_labels'

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        classes: str | Sequence[str],
        cams: str = 'cams',
        foreground: Mapping[str, float] | None = None,
        background: Mapping[str, float] | None = None,
        crf: Mapping[str, Any] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(dataset, **shared)
        self.classes, self.cams = classes, cams
        self.backgrounds = [
            dict(foreground or dict(threshold=0.6)),
            dict(background or dict(threshold=0.25)),
        ]
        self.crf = crf if crf is None else dict(crf)
        check_crf(self.crf, self.backgrounds)

    def check(self, runner: Runner) -> None:
        """Refuse a folder of seeds that is not there and that nobody will write."""
        folder = Path(runner.work_dir, self.cams)
        before = runner.hooks[: runner.hooks.index(self)]
        written = any(
            hook.folder(runner) == folder
            for hook in before
            if isinstance(hook, CamHook)
        )
        if not written and read_cam_manifest(folder) is None:
            raise ValueError(
                f'AffinityLabelHook reads seeds of {folder}, which holds none, and no '
                'CamHook before it writes them there: correct cams or the out_dir of '
                'CamHook, or list CamHook first'
            )

    def label(
        self,
        runner: Runner,
        networks: Mapping[str, nn.Module],
        dataset: UnlabeledDataset,
    ) -> LabelingResult:
        """Write the labels."""
        seeds = CamStore.load(Path(runner.work_dir, self.cams))
        images = seed_images(seeds, dataset, self.classes)
        settings: dict[str, Any] = dict(backgrounds=self.backgrounds, crf=self.crf)
        store = PseudoLabelStore(
            self.folder(runner),
            label_manifest(seeds, [], settings, model=source_name(runner)),
            class_palette(self.classes),
            overwrite=True,
        )
        workers = self.num_workers
        result = crf_seeds(seeds, images, store, num_workers=workers, **settings)
        self.report_truth(runner, store, dataset, ', of the sure pixels')
        return result
