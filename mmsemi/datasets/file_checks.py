"""Checks of image files that are cheap enough to run before the first step."""

import os

from PIL import Image

_JPEG = {'.jpg', '.jpeg'}


def check_image_file(path: str, role: str) -> None:
    """Refuse a file that is missing or that ends in the middle.

    Only the last bytes are read (the end markers of JPEG and PNG), so that
    ten thousand files take about a second; a file without the mark (another
    format under this suffix, or bytes after the end) is decoded.

    Args:
        path: File on the local disk; other storages (a path with ``://``)
            are left to the loader.
        role: What the file is to the reader, e.g. ``'image'``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty or truncated.
    """
    if '://' in path:
        return
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise FileNotFoundError(
            f'{role} {path} does not exist: correct the list, data_root or '
            'data_prefix, or restore the file'
        ) from error
    suffix = os.path.splitext(path)[1].lower()
    if size and suffix not in _JPEG | {'.png'}:
        return
    with open(path, 'rb') as file:
        file.seek(max(size - 1024, 0))
        tail = file.read()
    whole = b'\xff\xd9' in tail if suffix in _JPEG else b'IEND' in tail
    if not (whole or _decodes(path)):
        raise ValueError(
            f'{role} {path} is truncated ({size} bytes without an end mark): '
            'copy it again or take it off the list'
        )


def _decodes(path: str) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError):  # PIL: SyntaxError for broken PNGs
        return False
    return True


def check_list_file(path: str, role: str) -> None:
    """Refuse a list that is missing or has no line.

    Args:
        path: File or folder on the local disk; other storages are left alone.
        role: What the list is to the reader, e.g. ``'list of labeled'``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If every line is blank.
    """
    if '://' in path or os.path.isdir(path):
        return
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{role} {path} does not exist: correct ann_file or data_root, or make '
            'it with tools/make_splits.py'
        )
    with open(path, encoding='utf-8') as file:
        if not any(line.strip() for line in file):
            raise ValueError(
                f'{role} {path} is empty: put at least one image into it, or leave '
                'this part of the data set out'
            )
