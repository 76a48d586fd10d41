"""Checks of image files that are cheap enough to run before the first step."""

import os
import re

from PIL import Image, UnidentifiedImageError

_JPEG = {'.jpg', '.jpeg'}
_EXIF_ORIENTATION = 0x0112
_FIRST_TRANSPOSED = 5
"""EXIF orientations from here on swap height and width when they are applied."""


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
            f'{role} {path} does not exist: {_remedy(path)}'
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


def _remedy(path: str) -> str:
    """Guess from the path of a missing file what is wrong with its list."""
    if '\ufeff' in path:
        return 'the list begins with a byte order mark, save it as UTF-8 without'
    if re.fullmatch(r'(\.[A-Za-z]+)+', os.path.basename(path)):
        return 'the list has a blank line, delete it'
    if re.search(r'\.(jpe?g|png|bmp|tiff?)\b.*\.\w+$', path, re.IGNORECASE):
        return (
            'a line of the list is an id, the path below img_path without suffix '
            '(tools/make_splits.py import converts other lists)'
        )
    return 'correct the list, data_root or data_prefix, or restore the file'


def picture_size(path: str) -> tuple[int, int]:
    """Return the height and width that an image has when it is loaded.

    Only the header is read.

    Raises:
        ValueError: If the file is no picture.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except UnidentifiedImageError as error:
        raise ValueError(
            f'{path} is no picture that can be read: copy it again, or take it off '
            'the list'
        ) from error
    turned = orientation >= _FIRST_TRANSPOSED
    return (width, height) if turned else (height, width)


def check_mask_file(path: str, image: str, role: str) -> None:
    """Refuse a mask that is a colour picture, or of another size than its image.

    Only the headers are read.

    Args:
        path: The mask, on the local disk; other storages are left to the loader.
        image: Its image.
        role: What the mask is to the reader, e.g. ``'mask'``.

    Raises:
        ValueError: If they do not fit.
    """
    if '://' in path or '://' in image:
        return
    size, expected = picture_size(path), picture_size(image)
    if size != expected:
        raise ValueError(
            f'{role} {path} is {size[0]}x{size[1]} (height x width), but its image '
            f'{image} {expected[0]}x{expected[1]}: give the mask of this image'
        )
    with Image.open(path) as mask:
        mode, channels = mask.mode, len(mask.getbands())
    if channels > 1:
        raise ValueError(
            f'{role} {path} is a picture of mode {mode}: masks have one channel, whose '
            'values are class indices, convert it'
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
