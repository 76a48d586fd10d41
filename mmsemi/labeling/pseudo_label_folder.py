"""What a folder of pseudo-labels is known by, and how its files are written."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmsemi.datasets.atomic import PathLike

MANIFEST = 'manifest.json'
FORMAT = 'mmsemi pseudo-labels 1'
ASIDE = '.tmp'
"""Suffix of a file that is being written: no reader of PNGs takes it for one."""


def read_manifest(folder: PathLike) -> dict[str, Any] | None:
    """Return the manifest of a folder of pseudo-labels; None if it is no such."""
    try:
        found = json.loads(Path(folder, MANIFEST).read_text('utf-8'))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get('format') == FORMAT
    return found if known else None


def check_label_folder(folder: PathLike) -> None:
    """Refuse a folder whose files are not pseudo-labels of mmsemi.

    Raises:
        ValueError: There are such files; they may be the ground truth.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{folder} is a file: give a folder for the pseudo-labels')
    if read_manifest(folder) is not None:
        return
    # a first write that was cut leaves a file aside, and no label
    files = _foreign_files(folder)
    first = next(files, None)
    if first is not None:
        raise ValueError(
            f'{folder} holds {1 + sum(1 for _ in files)} files not written by this '
            f'tool, e.g. {first.relative_to(folder)}: is it the ground truth? give an '
            'empty folder for the pseudo-labels'
        )


def _foreign_files(folder: Path) -> Iterator[Path]:
    """Find what is in a folder; a link to a folder counts as a file."""
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        for name in names + links:
            if not _is_aside(name):
                yield Path(root, name)


def _is_aside(name: str) -> bool:
    return name.startswith('.') and name.endswith(ASIDE)


def remove_asides(folder: Path) -> None:
    """Delete what a kill has left half-written."""
    for path in folder.rglob(f'.*{ASIDE}'):
        path.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: It cannot be written, e.g. since the disk is full.
    """
    aside = path.with_name(f'.{path.name}.{os.getpid()}{ASIDE}')
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_bytes(data)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = 'free space' if full else 'correct this'
        raise OSError(
            f'cannot write {path} ({error.strerror}): {remedy} and run the same '
            'command again, the labels written so far are kept'
        ) from error
