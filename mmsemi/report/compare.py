"""Compare finished trainings on the validation images."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.datasets import BaseSegDataset
from torch import nn

from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.engine.hooks.semi_visualization_hook import predict_prob
from mmsemi.engine.panels import colour_labels, encode_png, row
from mmsemi.registry import DATASETS, MODELS

from .curves import Series
from .page import Panels

VOID = 255


@dataclass
class Comparison:
    """Class IoU and example predictions of several networks.

    Attributes:
        dataset: The validation data.
        shown: Indices of the images to keep the predictions of.
        iou: Network -> (C,) IoU in percent; nan where a class is nowhere.
        labels: Network -> (H, W) label map of each shown image.
    """

    dataset: BaseSegDataset
    shown: Sequence[int]
    iou: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, name: str, model: Any, network: str | None = None) -> None:
        """Let a network predict all images.

        Args:
            name: How to call it.
            model: A method of mmsemi, or a segmentor of mmseg, in eval mode.
            network: Which of the method's networks; None for its ``predict_on``.
        """
        classes = len(self.dataset.metainfo['classes'])
        counts = np.zeros((classes, classes), dtype=np.int64)
        self.labels[name] = []
        with (
            model.predicting_on(network) if network else nullcontext(),
            torch.no_grad(),
        ):
            for i in range(len(self.dataset)):
                info = self.dataset.get_data_info(i)
                image = mmcv.imread(info['img_path'])
                label = predict_prob(model, image).argmax(0).numpy()
                counts += confusion(
                    label, read_label_map(info['seg_map_path']), classes
                )
                if i in self.shown:
                    self.labels[name].append(label)
        self.iou[name] = class_iou(counts)

    def panels(self, names: Sequence[str]) -> Panels:
        """Show the images with their truth and the predictions of some networks."""
        palette = self.dataset.metainfo['palette']
        rows = []
        for place, index in enumerate(self.shown):
            info = self.dataset.get_data_info(index)
            maps = [read_label_map(info['seg_map_path'])]
            maps += [self.labels[name][place] for name in names]
            image = mmcv.imread(info['img_path'], channel_order='rgb')
            painted = [colour_labels(each, palette) for each in maps]
            rows.append(('', encode_png(row([image, *painted]))))
        return Panels(
            title='Validation images',
            text='None of them was seen in training. Grey pixels are void.',
            heads=['image', 'truth', *names],
            rows=rows,
        )


def confusion(label: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class, void left out.

    Args:
        label: (H, W) predicted classes.
        truth: (H, W) true classes, 255 void.
        classes: C.

    Returns:
        (C, C) int64.
    """
    valid = truth != VOID
    pairs = classes * truth[valid].astype(np.int64) + label[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """Return the (C,) IoU in percent of a (C, C) confusion matrix."""
    common = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - common
    return 100 * np.where(union > 0, common / np.maximum(union, 1), np.nan)


def load_trained(cfg: Config, work_dir: Path) -> nn.Module:
    """Build the model of a config with the last checkpoint of its training.

    Raises:
        FileNotFoundError: The folder has no checkpoint.
    """
    note = Path(work_dir) / 'last_checkpoint'
    if not note.is_file():
        raise FileNotFoundError(
            f'{work_dir} holds no last_checkpoint: let the training end first'
        )
    init_default_scope('mmsemi')
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    load_checkpoint(model, note.read_text('utf-8').strip(), map_location='cpu')
    return model.eval()


def validation_data(cfg: Config) -> BaseSegDataset:
    """Build the validation data of a config."""
    init_default_scope('mmsemi')
    return DATASETS.build(cfg.val_dataloader.dataset)


def pseudo_label_panels(work_dir: Path) -> list[Panels]:
    """Collect what :class:`SemiVisualizationHook` has drawn.

    Returns:
        One section with all images half-way, one with the first image over time;
        none if nothing was drawn.
    """
    folder = Path(work_dir) / 'vis_data' / 'pseudo_labels'
    images = [sorted(path.glob('iter_*.png')) for path in sorted(folder.glob('*'))]
    images = [drawn for drawn in images if drawn]
    if not images:
        return []
    heads = ['image', 'pseudo-label', 'kept pixels', 'entropy', 'truth']
    # at the end nothing is dropped any more: the middle shows more
    middle = [_numbered(drawn[(len(drawn) - 1) // 2]) for drawn in images]
    return [
        Panels(
            'Pseudo-labels in the middle of the training',
            'Unlabelled training images, labelled by the teacher. Hatched pixels are '
            'dropped: their entropy (dark: none, yellow: the most) is too high. The '
            'truth was shown to no network.',
            heads,
            middle,
        ),
        Panels(
            'One image over time',
            'The share of dropped pixels falls to nothing at the last step.',
            heads,
            [_numbered(path) for path in images[0]],
        ),
    ]


def _numbered(path: Path) -> tuple[str, bytes]:
    """Read a picture ``iter_<n>.png`` with its caption."""
    return f'step {int(path.stem.removeprefix("iter_"))}', path.read_bytes()


def miou_curves(runs: Mapping[str, Mapping[str, Series]]) -> dict[str, Series]:
    """Collect the mIoU of each network of each training.

    Args:
        runs: Training -> its scalars.

    Returns:
        ``training`` or ``training network`` -> series.
    """
    curves: dict[str, Series] = {}
    for name, scalars in runs.items():
        networks = [key for key in scalars if key.endswith('/mIoU')]
        for key in networks or ['mIoU']:
            label = f'{name} {key.removesuffix("/mIoU")}' if networks else name
            curves[label] = scalars.get(key, [])
    return curves
