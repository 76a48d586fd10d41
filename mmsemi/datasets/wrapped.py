"""Data sets inside of others."""

from collections.abc import Iterator
from typing import Any


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that read files, from inside of wrappers.

    Args:
        dataset: A data set, or a wrapper with the attribute ``dataset`` or
            ``datasets`` (``RepeatDataset``, ``ConcatDataset``).
    """
    inside = getattr(dataset, 'datasets', None)
    if inside is None:
        inside = [dataset.dataset] if hasattr(dataset, 'dataset') else None
    if inside is None:
        yield dataset
        return
    for part in inside:
        yield from inner_datasets(part)


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
    if not checks:
        return
    for index in range(len(dataset)):
        path = dataset.get_data_info(index)['img_path']
        for check in checks:
            check(path)
