"""Data sets inside of others."""

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that read files, from inside of wrappers.

    Args:
        dataset: A data set, or one of mmengine's wrappers.
    """
    if isinstance(dataset, (ConcatDataset, ClassBalancedDataset, RepeatDataset)):
        inside = getattr(dataset, 'datasets', None) or [dataset.dataset]
        for part in inside:
            yield from inner_datasets(part)
    else:
        yield dataset


def check_images(dataset: Any) -> None:
    """Let each transform that has a ``check_image`` look at every image.

    These are ``LoadBoxes`` and ``LoadImageTags``; nothing is decoded.

    Args:
        dataset: One that reads files.

    Raises:
        FileNotFoundError: An image has no boxes or tags.
        ValueError: They are no such, or those of another data set.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    checks = [step.check_image for step in steps if hasattr(step, 'check_image')]
    if not checks or not hasattr(dataset, 'get_data_info'):
        return
    for index in range(len(dataset)):
        path = dataset.get_data_info(index).get('img_path')
        for check in checks if path else ():
            check(path)
