"""Files, and lists of images, that appear whole or not at all."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PathLike = str | os.PathLike[str]


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place in one step.

    A reader sees the old file or the whole new one; if the block fails, the old one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def lists_to_write(
    lists: Mapping[Path, Sequence[str]], *, force: bool = False
) -> list[Path]:
    """Say which of the lists are not on disk yet.

    Raises:
        FileExistsError: Without ``force``, a file holds other lines.
    """
    missing = [path for path in lists if not path.exists()]
    changed = [
        path
        for path, ids in lists.items()
        if path.exists() and path.read_text('utf-8').splitlines() != list(ids)
    ]
    if changed and not force:
        raise FileExistsError(
            f'{changed[0]} exists and holds another list; choose another folder, or '
            'pass --force to replace it.'
        )
    return missing + changed


def write_splits(
    lists: Mapping[Path, Sequence[str]], *, force: bool = False
) -> list[Path]:
    """Write lists of ids, each whole or not at all; equal ones are left alone.

    Args:
        lists: Path -> ids. None is written when one of them is refused.
        force: Replace a file that holds other lines.

    Returns:
        The paths that were written.
    """
    paths = lists_to_write(lists, force=force)
    for path in paths:
        with replacing(path) as aside:
            aside.write_text(''.join(f'{name}\n' for name in lists[path]), 'utf-8')
    return paths
