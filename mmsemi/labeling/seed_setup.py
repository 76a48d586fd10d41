"""What hooks and tools of weak supervision prepare in the same way."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.annotations.image_tags import BACKGROUND, class_names
from mmsemi.registry import DATASETS

from .cam_store import CamStore
from .image_batches import image_ids
from .images import tags_to_label


def seed_tags(
    path: str, dataset: UnlabeledDataset, classes: str | Sequence[str]
) -> Tensor:
    """Read the tags of images that get seeds.

    Args:
        path: File of tags, or folder of VOC's XMLs.
        dataset: N images.
        classes: Names of the classes, or of a data set that has them, the background
            first.

    Returns:
        (N, C + 1) bool.

    Raises:
        ValueError: The first class is not the background, an image has no tags, or a
            class no image.
        FileNotFoundError: There is no such file.
    """
    names = class_names(classes)
    if names[0] != BACKGROUND:
        raise ValueError(
            f'the first class is {names[0]!r}, but seeds need {BACKGROUND!r} there: '
            'list it first'
        )
    tags = tags_to_label(path, dataset, names)
    empty = [names[int(i)] for i in (~tags.any(0)).nonzero()[:, 0]]
    if empty:
        raise ValueError(
            f'no image of the list has the tag(s) {empty} in {path}, so that they '
            'cannot be learnt: take images that have them, or leave the classes out'
        )
    return tags


def class_palette(classes: str | Sequence[str]) -> Sequence[Sequence[int]]:
    """Return the colours of a data set's classes; none for a list of names."""
    found = DATASETS.get(classes) if isinstance(classes, str) else None
    return getattr(found, 'METAINFO', {}).get('palette') or ()


def seed_images(
    seeds: CamStore,
    dataset: UnlabeledDataset,
    classes: str | Sequence[str] | None = None,
) -> dict[str, str]:
    """Return the images of seeds, by their ids.

    Args:
        seeds: The seeds.
        dataset: The images.
        classes: Names of the classes, or of a data set that has them, which the seeds
            must have too. By default any.

    Raises:
        ValueError: The seeds are those of another list, or of other classes.
    """
    found = list(seeds.manifest['classes'])
    if classes is not None and found != class_names(classes):
        raise ValueError(
            f'{seeds.folder} holds seeds of the classes {found}, but here are '
            f'{class_names(classes)}: give the folder of this run, or correct classes'
        )
    ids = image_ids(dataset)
    listed = hashlib.sha256('\n'.join(ids).encode()).hexdigest()
    known = seeds.manifest['images']
    if known['sha256'] != listed:
        raise ValueError(
            f'{seeds.folder} holds seeds of another list ({known["number"]} images; '
            f'here are {len(ids)}): give the folder of this run, or make them anew'
        )
    paths = (dataset.get_data_info(i)['img_path'] for i in range(len(dataset)))
    return dict(zip(ids, paths, strict=True))


def label_manifest(
    seeds: CamStore, sha256: Sequence[str], settings: Mapping[str, Any], **origin: Any
) -> dict[str, Any]:
    """Describe labels made of seeds.

    Args:
        seeds: The seeds.
        sha256: Of the weights that also took part.
        settings: What else makes the labels what they are.
        **origin: For the reader.
    """
    known = seeds.manifest
    return dict(
        origin,
        sha256=[*known['sha256'], *sha256],
        settings=dict(settings, seeds=known['settings']),
        classes=known['classes'],
        images=known['images'],
    )
