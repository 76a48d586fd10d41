"""Several data sets, each under its name, drawn from in one batch."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from mmsemi.datasets.file_checks import (
    check_image_file,
    check_list_file,
    check_mask_file,
)
from mmsemi.datasets.seeding import SeededIndex, seeded
from mmsemi.datasets.wrapped import check_images, inner_datasets
from mmsemi.registry import DATASETS


def fill_parts(
    sources: Mapping[str, Any], split: str | None, data_root: str | None
) -> dict[str, Any]:
    """Return the parts with what is said once for all of them.

    Args:
        sources: Name -> config of a part, in which other data sets may stand, as those
            of a ``ConcatDataset``; anything else stays.
        split: Folder of the lists, see :class:`MultiSourceDataset`.
        data_root: Of the data sets without one.
    """
    lists = {'labeled': 'labeled'}
    return {
        name: _filled(source, lists.get(name, 'unlabeled'), split, data_root)
        for name, source in sources.items()
    }


def _filled(source: Any, subset: str, split: str | None, data_root: str | None) -> Any:
    if not isinstance(source, Mapping):
        return source
    source = dict(source)
    subset = source.pop('subset', subset)
    for key in ('dataset', 'datasets'):
        inner = source.get(key)
        if isinstance(inner, Mapping):
            source[key] = _filled(inner, subset, split, data_root)
        elif isinstance(inner, (list, tuple)):
            source[key] = [_filled(one, subset, split, data_root) for one in inner]
    if 'dataset' in source or 'datasets' in source:
        return source
    if data_root is not None and source.get('data_root') is None:
        source['data_root'] = data_root
    if split is not None and 'ann_file' not in source:
        source['ann_file'] = os.path.join(split, f'{subset}.txt')
    return source


@DATASETS.register_module()
class MultiSourceDataset:
    """Named parts, e.g. ``labeled`` and ``unlabeled``, as one data set.

    The parts are keywords and not a list, because dicts merge in config
    inheritance: a child config changes one field of one part with
    ``train_dataloader=dict(dataset=dict(labeled=dict(ann_file='…')))``.

    Index ``i`` counts through the parts in their order. When the sampler
    gives a :class:`~mmsemi.datasets.seeding.SeededIndex`, the augmentation of
    the sample depends on its seed only.

    Args:
        split: Folder of the lists, as ``tools/make_splits.py`` writes them: a part
            without ``ann_file`` has the list of its ``subset``, by default
            ``labeled`` of the part ``labeled`` and ``unlabeled`` of the others
            (``{split}/labeled.txt``). Relative to ``data_root``.
        data_root: Of the parts without one.
        allow_overlap: Let an image be in several parts, for methods that also
            use the labelled images as unlabelled ones, or several times in one.
            Defaults to False.
        verify_files: Look at every image and mask file (present, not cut off), and
            at the boxes and tags of every image, when the data set is built. Defaults
            to True.
        **sources: Name of the part to its data set or config.

    Raises:
        ValueError: If a part is empty, an image is there twice, or a file is cut
            off or does not fit its image, or its boxes or tags do not.
        FileNotFoundError: If a listed file does not exist.
    """

    def __init__(
        self,
        *,
        split: str | None = None,
        data_root: str | None = None,
        allow_overlap: bool = False,
        verify_files: bool = True,
        **sources: Any,
    ) -> None:
        sources = fill_parts(sources, split, data_root)
        if not sources:
            raise ValueError(
                'MultiSourceDataset has no part: name at least one, e.g. '
                "labeled=dict(type='PascalVOCDataset', …)"
            )
        self.sources: dict[str, BaseDataset] = {}
        self.offsets: dict[str, int] = {}
        size = 0
        for name, source in sources.items():
            part = self._build(name, source)
            self.sources[name], self.offsets[name] = part, size
            size += len(part)
        self._size = size
        if not allow_overlap:
            self._check_overlap()
        if verify_files:
            self._check_files()

    @staticmethod
    def _build(name: str, source: Any) -> BaseDataset:
        """Build one part and refuse it if it is empty."""
        if isinstance(source, dict):
            listed = source.get('ann_file')
            if listed:
                path = os.path.join(source.get('data_root') or '', listed)
                check_list_file(path, f'the list of {name!r} images')
            try:
                source = DATASETS.build(source)
            except ValueError as error:
                # how mmengine's serialisation fails on no sample at all
                if 'need at least one array' not in str(error):
                    raise
                source = []
        elif not hasattr(source, 'get_data_info'):
            raise TypeError(
                f'MultiSourceDataset got {name}={source!r}: a part is a data set or '
                'its config; the options are split, data_root, allow_overlap and '
                'verify_files'
            )
        if len(source) == 0:
            raise ValueError(
                f'the part {name!r} of the data set is empty: give a list or a '
                'folder with images (and the right img_suffix)'
            )
        return source

    @property
    def metainfo(self) -> dict:
        """Classes and palette, those of the first part."""
        return next(iter(self.sources.values())).metainfo

    def full_init(self) -> None:
        """Do nothing: the parts are initialised when they are built."""

    def __len__(self) -> int:
        """Images of all parts."""
        return self._size

    def __getitem__(self, index: int) -> dict:
        """Load, augment and check one sample."""
        name, local = self._locate(int(index))
        if isinstance(index, SeededIndex):
            with seeded(index.seed):
                sample = self.sources[name][local]
        else:
            sample = self.sources[name][local]
        self._check_labels(sample, name)
        return sample

    def get_data_info(self, index: int) -> dict:
        """Return what is known of a sample without loading it."""
        name, local = self._locate(int(index))
        return self.sources[name].get_data_info(local)

    def _locate(self, index: int) -> tuple[str, int]:
        """Return the part an index falls into and the index within it."""
        if not 0 <= index < self._size:
            raise IndexError(f'index {index} is outside 0 … {self._size - 1}')
        name = [n for n, offset in self.offsets.items() if offset <= index][-1]
        return name, index - self.offsets[name]

    def _infos(self, name: str) -> list[dict]:
        source = self.sources[name]
        return [source.get_data_info(i) for i in range(len(source))]

    def _check_overlap(self) -> None:
        seen: dict[str, str] = {}
        for name in self.sources:
            for info in self._infos(name):
                # one image under two spellings or links is still one
                path = os.path.realpath(info['img_path'])
                if path in seen:
                    twice = seen[path] == name
                    where = f'twice in {name!r}' if twice else f'in both {seen[path]!r}'
                    where += '' if twice else f' and {name!r}'
                    raise ValueError(
                        f'image {path} is {where}: take it off one list '
                        '(tools/make_splits.py check names all), or set '
                        'allow_overlap=True if it shall be there twice'
                    )
                seen[path] = name

    def _check_files(self) -> None:
        for name, source in self.sources.items():
            for info in self._infos(name):
                check_image_file(info['img_path'], f'{name} image')
                if 'seg_map_path' in info:
                    mask = info['seg_map_path']
                    check_image_file(mask, f'{name} mask')
                    check_mask_file(mask, info['img_path'], f'{name} mask')
            for inner in inner_datasets(source):
                check_images(inner)

    def _check_labels(self, sample: dict, name: str) -> None:
        """Refuse labels outside the classes before they reach the loss."""
        num_classes = len(self.sources[name].metainfo.get('classes') or ())
        branches = sample.values() if 'inputs' not in sample else [sample]
        for branch in branches:
            label = getattr(branch['data_samples'], 'gt_sem_seg', None)
            if label is None or not num_classes:
                continue
            data = label.data
            top = torch.where(data == 255, 0, data).amax().item()
            if top >= num_classes:
                values = np.unique(data[(data >= num_classes) & (data != 255)])
                meta = branch['data_samples'].metainfo
                reduced = ' after reduce_zero_label'
                after = reduced if meta.get('reduce_zero_label') else ''
                raise ValueError(
                    f'mask {meta.get("seg_map_path")} holds the label(s) '
                    f'{values.tolist()}{after}, but the {num_classes} classes are '
                    f'0 … {num_classes - 1} and void is 255: convert the masks, or '
                    'correct classes or reduce_zero_label'
                )
