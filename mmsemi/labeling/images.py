"""The images to label: where they are, how they are loaded, and their tags."""

import copy
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.datasets.transforms import LoadImageTags
from mmsemi.registry import DATASETS

from .image_batches import image_ids
from .pseudo_label_folder import read_manifest

NOT_LOADED = ('LoadAnnotations', 'LoadImageTags')
PLAIN_PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def part_images(cfg: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return where the images of a part of the training data are.

    Args:
        cfg: Config of the training, whose data set is a ``MultiSourceDataset``.
        part: Name of the part.

    Returns:
        ``data_root``, ``data_prefix`` of the images, ``img_suffix`` and ``ann_file`` of
        an :class:`UnlabeledDataset`, each if the part has it; never masks or a
        pipeline.

    Raises:
        ValueError: There is no such part, or it consists of other data sets.
    """
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    parts = {k: v for k, v in dataset.items() if isinstance(v, Mapping)}
    if part not in parts:
        raise ValueError(
            f'part={part!r}, but train_dataloader.dataset has the parts {list(parts)}: '
            'name one of them, or give dataset'
        )
    known = fill_parts(parts, dataset.get('split'), dataset.get('data_root'))[part]
    if 'datasets' in known or 'dataset' in known:
        raise ValueError(
            f'part={part!r} is a {known.get("type")} of other data sets, not one list '
            'of images: name another part, or give dataset'
        )
    keys = ('data_root', 'img_suffix', 'ann_file')
    found = {key: known[key] for key in keys if key in known}
    kind = DATASETS.get(known['type']) if isinstance(known.get('type'), str) else None
    own = inspect.signature(kind).parameters.get('img_suffix') if kind else None
    if own is not None and isinstance(own.default, str):
        # of its class, as Cityscapes' "_leftImg8bit.png"
        found.setdefault('img_suffix', own.default)
    folder = (known.get('data_prefix') or {}).get('img_path')
    return found if folder is None else found | dict(data_prefix=dict(img_path=folder))


def images_to_label(dataset: Mapping[str, Any], cfg: Config) -> UnlabeledDataset:
    """Build a data set of images to label.

    Args:
        dataset: Config of an :class:`UnlabeledDataset`. Without a ``pipeline``, the
            images are loaded (and resized) as those of the test.
        cfg: Config of the training, which says how images are tested.

    Raises:
        ValueError: It is of another type.
    """
    dataset = dict(type='UnlabeledDataset') | copy.deepcopy(dict(dataset))
    if DATASETS.get(dataset['type']) is not UnlabeledDataset:
        raise ValueError(
            f'the images to label come as {dataset["type"]}: take UnlabeledDataset, '
            'which opens no mask'
        )
    dataset.setdefault('pipeline', test_pipeline(cfg))
    return DATASETS.build(dataset)


def test_pipeline(cfg: Config) -> list[dict]:
    """Return the pipeline of the test images, without their masks and tags."""
    for part in ('test_dataloader', 'val_dataloader'):
        loader = cfg.get(part) or {}
        steps = (loader.get('dataset') or {}).get('pipeline')
        if steps:
            steps = [dict(step) for step in copy.deepcopy(steps)]
            return [step for step in steps if step['type'] not in NOT_LOADED]
    return copy.deepcopy(PLAIN_PIPELINE)


def tags_to_label(
    path: str,
    dataset: UnlabeledDataset,
    classes: Sequence[str] | None,
    allow_empty: bool = False,
) -> Tensor:
    """Read the tags of images to label.

    Args:
        path: A file of ``tools/make_image_tags.py``, or a folder of VOC's XMLs.
        dataset: N images, listed, or with an XML, under their ids.
        classes: Names of the C classes of the training.
        allow_empty: Whether an image may have no class but background.

    Returns:
        (N, C) bool, at least one class for each image.

    Raises:
        ValueError: It is the file of another data set, an image has no tags, or one
            is of an unknown class.
        FileNotFoundError: There is no such file.
    """
    if not classes:
        raise ValueError(
            f'tags={path!r}: the training knows no names of classes: name them in the '
            'metainfo of its data set'
        )
    images = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    image_ids(dataset)  # refuses those without one suffix or outside of the folder
    suffix = dataset.img_suffix
    load = LoadImageTags(
        format='voc' if os.path.isdir(path) else 'file',
        classes=list(classes),
        path=path,
        img_folder=dataset.data_prefix.get('img_path') or dataset.data_root or '',
        img_suffix=(
            suffix if isinstance(suffix, str) else os.path.splitext(images[0])[1]
        ),
        allow_empty=allow_empty,
    )
    rows = [load(dict(img_path=image))['gt_tags'] for image in images]
    for image, row in zip(images, rows, strict=True):
        if not row.any():
            raise ValueError(
                f'{path} has no tag at all for {image}, so no class may label it: add '
                'its tags, or take it off the list'
            )
    return torch.from_numpy(np.stack(rows))


def refuse_labeled(dataset: UnlabeledDataset, training: Any) -> None:
    """Refuse images that the training has true labels of.

    Args:
        dataset: The images to label.
        training: The training's data set. A part whose masks are pseudo-labels of
            mmsemi does not count: labelling its images again is common.

    Raises:
        ValueError: There are such images.
    """
    labeled = {
        os.path.realpath(info['img_path'])
        for part in _parts(training)
        for info in (part.get_data_info(i) for i in range(len(part)))
        if info.get('seg_map_path')
    }
    both = [
        path
        for path in (dataset.get_data_info(i)['img_path'] for i in range(len(dataset)))
        if os.path.realpath(path) in labeled
    ]
    if both:
        source = dataset.ann_file or dataset.data_prefix.get('img_path')
        raise ValueError(
            f'{source}: {len(both)} of the {len(dataset)} images to label are labelled '
            f'training images, e.g. {both[0]}: take them off this list'
        )


def _parts(dataset: Any) -> Iterator[Any]:
    """Walk through the data sets that a data set is made of."""
    inner = getattr(dataset, 'sources', None) or getattr(dataset, 'datasets', None)
    if isinstance(inner, Mapping):
        inner = list(inner.values())
    if inner is None and hasattr(dataset, 'dataset'):
        inner = [dataset.dataset]
    for part in inner or []:
        yield from _parts(part)
    prefix = getattr(dataset, 'data_prefix', None)
    if not inner and prefix is not None:
        masks = prefix.get('seg_map_path')
        if masks and read_manifest(masks) is None:
            yield dataset
