"""Labelled and unlabelled parts out of a supervised training's data set."""

import copy
import os
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.datasets import BaseSegDataset

from mmsemi.datasets.splits.files import parse_split, read_pair
from mmsemi.registry import DATASETS

LABEL_STEPS = ('LoadAnnotations', 'GenerateEdge')
"""Transforms that need a mask and make nothing for an image without one."""

STRONG_STEPS = ('PhotoMetricDistortion', 'RandomCutOut', 'Albu')
"""Random transforms of colour: the teacher shall see the image as it is."""


class Sources:
    """The labelled and the unlabelled part of the training data.

    Args:
        cfg: Config of the supervised training.
        labeled: The labelled list.
        unlabeled: The unlabelled list or folder.

    Raises:
        FileNotFoundError: If a list, or the first image of one, does not exist.
        ValueError: If the data set is of another kind, or the lists are bad.
    """

    def __init__(self, cfg: Config, labeled: str, unlabeled: str) -> None:
        dataset: Any = cfg.train_dataloader.get('dataset') or {}
        while isinstance(dataset, dict) and type_name(dataset) == 'RepeatDataset':
            dataset = dataset.get('dataset')
        self.scope = cfg.get('default_scope') or 'mmseg'
        self.dataset: Any = dataset
        kind = type_name(dataset) if isinstance(dataset, dict) else None
        if kind == 'MultiSourceDataset':
            raise ValueError(
                'the config trains a method of mmsemi already: give the supervised one'
            )
        if kind == 'MultiImageMixDataset':
            raise ValueError(
                'MultiImageMixDataset mixes labelled images, with transforms that have '
                'no meaning for unlabelled ones: give the config of the data set inside'
            )
        if not isinstance(dataset, dict) or 'pipeline' not in dataset:
            raise ValueError(
                'train_dataloader.dataset has no pipeline: join its parts into one '
                'data set of mmseg first'
            )
        self.root = dataset.get('data_root') or ''
        self.folder = os.path.isdir(unlabeled)
        self.unlabeled = unlabeled if self.folder else self._find(unlabeled)
        self.dataset.ann_file = self._from_root(self._find(labeled))
        self.pipeline = list(dataset['pipeline'])
        if not self.pipeline or type_name(self.pipeline[-1]) != 'PackSegInputs':
            raise ValueError(
                'the training pipeline does not end with PackSegInputs: end it with '
                'that, the method packs its branches itself'
            )
        self._read_lists(self._find(labeled))

    def _find(self, path: str) -> str:
        """Return the path of a list from here."""
        for found in (path, os.path.join(self.root, path)):
            if os.path.isfile(found):
                return found
        inside = f' and not below {self.root}' if self.root else ''
        raise FileNotFoundError(
            f'the list {path} does not exist{inside}: correct the path, or make it '
            'with tools/make_splits.py'
        )

    def _from_root(self, path: str) -> str:
        """Return the path of a list as the data set takes it."""
        root, path = os.path.abspath(self.root or '.'), os.path.abspath(path)
        inside = self.root and os.path.commonpath([root, path]) == root
        return os.path.relpath(path, root) if inside else path

    def _read_lists(self, labeled: str) -> None:
        lists = [labeled] if self.folder else [labeled, self.unlabeled]
        ids = []
        for path in lists:
            names, style = parse_split(path)
            ids.append(names)
            if style != 'id':
                raise ValueError(
                    f'{path} has lines of the format {style!r}, mmseg wants ids: '
                    'convert it with tools/make_splits.py import'
                )
        if not self.folder:
            read_pair(*lists)
        built = self._build()
        self.suffix = built.img_suffix
        self.images = built.data_prefix.get('img_path') or ''
        if self.folder:
            self._check_folder(ids[0])
        for path, names in zip(lists, ids, strict=True):
            image = os.path.join(self.images, f'{names[0]}{self.suffix}')
            if '://' not in image and not os.path.isfile(image):
                raise FileNotFoundError(
                    f'{path} begins with {names[0]!r}, but there is no image {image}: '
                    'correct the list, or data_root, data_prefix and img_suffix of '
                    'train_dataloader.dataset'
                )

    def _check_folder(self, labeled: list[str]) -> None:
        """Refuse a folder of unlabelled images with a labelled one in it."""
        folder = os.path.realpath(self.unlabeled)
        for name in labeled:
            image = os.path.realpath(os.path.join(self.images, f'{name}{self.suffix}'))
            if os.path.commonpath([folder, image]) == folder:
                raise ValueError(
                    f'the folder {self.unlabeled} holds the labelled image {image}: '
                    'give a list of the unlabelled ones, tools/make_splits.py makes it'
                )

    def _build(self) -> BaseSegDataset:
        """Build the data set without its samples, to learn folder and suffix."""
        config = copy.deepcopy(self.dataset)
        with DefaultScope.overwrite_default_scope(self.scope):
            built = DATASETS.build(dict(config, pipeline=[], lazy_init=True))
        if not isinstance(built, BaseSegDataset):
            raise ValueError(
                f'the data set {type(built).__name__} is no BaseSegDataset of mmseg, '
                'whose lists are read here: write the config by hand, '
                'docs/your_own_model.md shows how'
            )
        return built

    def parts(self, method: Any) -> dict[str, dict]:
        """Return the parts of a ``MultiSourceDataset`` for a method's branches."""
        pack = dict(self.pipeline[-1], type='mmsemi.PackSemiInputs')
        strong = dict(type='mmsemi.StrongPhotometric')
        views = {
            branch: [strong, pack] if 'student' in branch else [pack]
            for branch in method.branches
            if branch != 'sup'
        }
        labeled = copy.deepcopy(self.dataset)
        labeled.pipeline = [
            *self.pipeline[:-1],
            dict(type='mmsemi.MultiBranch', sup=[pack]),
        ]
        unlabeled: dict[str, Any] = dict(type='mmsemi.UnlabeledDataset')
        if self.folder:
            unlabeled['data_prefix'] = dict(img_path=self.unlabeled)
        else:
            unlabeled.update(
                data_root=self.dataset.get('data_root'),
                data_prefix=dict(
                    img_path=self.dataset.get('data_prefix', {}).get('img_path', '')
                ),
                ann_file=self._from_root(self.unlabeled),
                img_suffix=self.suffix,
            )
        unlabeled['pipeline'] = [
            *without_labels(self.pipeline[:-1]),
            dict(type='mmsemi.MultiBranch', **views),
        ]
        return dict(labeled=labeled, unlabeled=unlabeled)


def without_labels(steps: list[dict]) -> list[dict]:
    """Return the transforms of a pipeline that images without masks go through.

    Args:
        steps: Transforms of a supervised pipeline.
    """
    kept = []
    for step in copy.deepcopy(steps):
        if type_name(step) in (*LABEL_STEPS, *STRONG_STEPS):
            continue
        if type_name(step) == 'RandomCrop':
            # it asks the mask whether one class fills the crop
            step.pop('cat_max_ratio', None)
        inner: Any = step.get('transforms')
        if isinstance(inner, (list, tuple)) and all(
            isinstance(item, dict) for item in inner
        ):
            step['transforms'] = without_labels(list(inner))
            if not step['transforms']:
                continue
        kept.append(step)
    return kept


def type_name(step: dict) -> str:
    """Return the type of a part of a config without its scope."""
    return str(step.get('type')).split('.')[-1]
