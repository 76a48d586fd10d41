"""What the hooks share that label, or rank, a list of images."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmsemi.checks import check_range
from mmsemi.datasets import UnlabeledDataset
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.labeling.image_batches import image_ids, plan_batches
from mmsemi.labeling.images import images_to_label, part_images
from mmsemi.labeling.networks import broadcast_weights
from mmsemi.labeling.pseudo_label_folder import MANIFEST, check_label_folder
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.result import miou_with_truth, truth_files


class ImagesHook(Hook):
    """Work on a list of images.

    Args:
        dataset: Config of an ``UnlabeledDataset``; without a ``pipeline``, images are
            loaded as those of the test.
        part: Name of a part of the training's ``MultiSourceDataset`` whose images are
            taken; ``dataset`` then says only what differs.
        out_dir: Folder of the results, relative to the work dir. By default the
            ``out_dir_default`` of the class.
        num_workers: Threads that load images, and processes of a CRF; 0 for none.
            Defaults to 2.

    Raises:
        ValueError: Neither ``dataset`` nor ``part`` is given, or ``num_workers`` is
            below 0.
    """

    out_dir_default = '.'

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        part: str | None = None,
        out_dir: str | None = None,
        num_workers: int = 2,
    ) -> None:
        if dataset is None and part is None:
            raise ValueError(
                f'{type(self).__name__} is given no images: set part to the name of a '
                "part of the training data, e.g. 'unlabeled', or dataset to the config "
                'of an UnlabeledDataset'
            )
        check_range('[0, inf)', num_workers=num_workers)
        self.dataset, self.part = dataset, part
        self.out_dir = self.out_dir_default if out_dir is None else out_dir
        self.num_workers = num_workers

    def folder(self, runner: Runner) -> Path:
        """Return the folder of the results."""
        return Path(runner.work_dir, self.out_dir)

    def dataset_config(self, runner: Runner) -> dict[str, Any]:
        """Return the config of the images, those of a part filled in."""
        known = {} if self.part is None else part_images(runner.cfg, self.part)
        return known | dict(self.dataset or {})

    def images(self, runner: Runner) -> UnlabeledDataset:
        """Build the data set of the images."""
        return images_to_label(self.dataset_config(runner), runner.cfg)


class LabelingHook(ImagesHook):
    """Label a list of images after the last step of a training.

    A resumed run whose training is done goes on where it was cut; each file appears
    whole. What an earlier training has left in the same folder is deleted. Images are
    dealt to the processes. The weights are read only, and are those of rank 0.

    Args:
        dataset: See :class:`ImagesHook`.
        truth_dir: Folder of true masks of these images, for a report only; their names
            end with the data set's ``seg_map_suffix``. By default no mask is opened.
        **images: ``part``, ``out_dir`` and ``num_workers`` of :class:`ImagesHook`.

    Raises:
        ValueError: As :class:`ImagesHook`; before the first step, if the folder holds
            files of another origin or is another hook's.
        FileNotFoundError: Before the first step, if an image, or a mask of
            ``truth_dir``, is not there.
    """

    priority = 'LOW'
    labels_only = True
    """It changes no weight."""
    list_may_come_later = False
    """Whether the list of images may be written during the training."""
    check_folder = staticmethod(check_label_folder)

    def __init__(
        self,
        dataset: Mapping[str, Any] | None = None,
        *,
        truth_dir: str | None = None,
        **images: Any,
    ) -> None:
        super().__init__(dataset, **images)
        self.truth_dir = truth_dir

    def check(self, runner: Runner) -> None:
        """Check what does not depend on the images, before the first step."""

    def check_images(self, runner: Runner, dataset: UnlabeledDataset) -> None:
        """Check what depends on the images, before the first step."""

    def networks(self, runner: Runner) -> dict[str, nn.Module]:
        """Return the networks that label, by their names in the manifest."""
        return {}

    def label(
        self,
        runner: Runner,
        networks: Mapping[str, nn.Module],
        dataset: UnlabeledDataset,
    ) -> Any:
        """Write the labels, and return what to say of them.

        Args:
            runner: Of the training that is done.
            networks: Those of :meth:`networks`, in eval mode.
            dataset: The images.
        """
        raise NotImplementedError

    def before_train(self, runner: Runner) -> None:
        """Check what can be known before the first step."""
        self.check(runner)
        self._check_folder(runner)
        if self.truth_dir is not None and not os.path.isdir(self.truth_dir):
            raise FileNotFoundError(
                f'{type(self).__name__} truth_dir={self.truth_dir!r} is no folder: '
                'correct it, or leave it out'
            )
        if self.list_may_come_later and not self._list_is_there(runner):
            return
        dataset = self.images(runner)
        ids = image_ids(dataset)
        plan_batches(dataset)
        self.check_images(runner, dataset)
        if self.truth_dir is not None:
            truth_files(dataset, ids, self.truth_dir)

    def after_train(self, runner: Runner) -> None:
        """Label the images."""
        dataset = self.images(runner)
        networks = self.networks(runner)
        broadcast_weights(networks)
        folder = self.folder(runner)
        kind = type(self).__name__
        runner.logger.info(f'{kind}: {len(dataset)} images into {folder}')
        with evaluating(nn.ModuleList(networks.values())):
            result = self.label(runner, networks, dataset)
        runner.logger.info(f'{folder}: {result}')

    def report_truth(
        self,
        runner: Runner,
        store: PseudoLabelStore,
        dataset: UnlabeledDataset,
        of: str = '',
    ) -> None:
        """Log the mIoU of the labels with the true masks, if there are any."""
        if self.truth_dir is not None:
            miou = miou_with_truth(store, dataset, self.truth_dir)
            runner.logger.info(f'{store.folder}: mIoU with the truth {miou:.2f}{of}')

    def _list_is_there(self, runner: Runner) -> bool:
        config = self.dataset_config(runner)
        listed, root = config.get('ann_file'), config.get('data_root')
        return not listed or os.path.exists(os.path.join(root or '', listed))

    def _check_folder(self, runner: Runner) -> None:
        """Refuse a folder with files that are not this hook's to delete."""
        kind, folder = type(self).__name__, self.folder(runner).resolve()
        self.check_folder(folder)
        for hook in runner.hooks:
            other = getattr(hook, 'out_dir', None)
            if hook is self or not isinstance(other, str):
                continue
            other = Path(runner.work_dir, other).resolve()
            nested = folder in other.parents or other in folder.parents
            if folder == other or (nested and isinstance(hook, LabelingHook)):
                raise ValueError(
                    f'{kind} and {type(hook).__name__} both write into {folder} and '
                    f"{other}, and each deletes the other's files: give them out_dirs "
                    'of their own'
                )
        outside = Path(runner.work_dir).resolve() not in folder.parents
        if outside and runner.iter == 0 and (folder / MANIFEST).exists():
            raise ValueError(
                f'{folder} holds labels of another training, which would be deleted: '
                f'give {kind} an out_dir of its own'
            )


def source_name(runner: Runner) -> str:
    """Say which config trains."""
    return Path(runner.cfg.filename or type(unwrapped(runner)).__name__).name
