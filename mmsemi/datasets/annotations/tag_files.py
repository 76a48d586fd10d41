"""Files of image tags: JSON and CSV."""

import csv
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsemi.datasets.atomic import PathLike, replacing

from .image_tags import BACKGROUND, encode_tags

FORMAT = 'mmsemi image tags 1'
HEADER = ['image', 'tags']


def read_tag_file(path: PathLike, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Read a file of tags.

    ``.json``: as :func:`write_tag_file` writes it, or just ``{image: [class, …]}``.
    ``.csv``: the line ``image,tags``, then ``image,class,class,…``. An image is named
    as in a list: its path without suffix. If ``background`` is the first class and
    no image has that tag, all images get it.

    Args:
        path: The file.
        classes: Names of the C classes.

    Returns:
        Tags (C,) bool of each image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, repeats an image, was written for other
            classes, or has an unknown tag.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no tag file {path}: correct path, or make it with '
            'tools/make_image_tags.py'
        )
    if path.suffix not in ('.json', '.csv'):
        raise ValueError(
            f'{path} is neither .json nor .csv: write such a file with '
            'tools/make_image_tags.py'
        )
    try:
        text = path.read_text('utf-8-sig')
        listed = _from_csv(text) if path.suffix == '.csv' else _from_json(text, classes)
    except ValueError as error:  # also json's and unicode's
        raise ValueError(f'{path} is no file of tags of this data set: {error}') from (
            error
        )
    if not listed:
        raise ValueError(f'{path} has no image: make it with tools/make_image_tags.py')
    tags = {
        name: encode_tags(names, classes, f'{path}, image {name!r},')
        for name, names in listed.items()
    }
    if classes[0] == BACKGROUND:
        _complete_background(list(tags.values()), path)
    return tags


def _complete_background(rows: Sequence[np.ndarray], path: Path) -> None:
    """Tag all images with the background if none is; else leave them as they are."""
    number = sum(row[0] for row in rows)
    if number == 0:
        for row in rows:
            row[0] = True
    elif number < len(rows) / 2:
        warnings.warn(
            f'{path} tags only {number} of {len(rows)} images with {BACKGROUND!r}: the '
            'others are taken to have none; tag all that have, or no image at all if '
            'every one has',
            stacklevel=3,
        )


def write_tag_file(
    path: PathLike, tags: Mapping[str, np.ndarray], classes: Sequence[str]
) -> None:
    """Write a file of tags, whole or not at all; :func:`read_tag_file` reads it.

    Args:
        path: A ``.json``, which also keeps the classes, or a ``.csv``.
        tags: Tags (C,) bool of each image.
        classes: Names of the C classes.

    Raises:
        ValueError: The file has another suffix.
    """
    path = Path(path)
    listed = {
        name: [c for c, there in zip(classes, row, strict=True) if there]
        for name, row in tags.items()
    }
    if path.suffix == '.csv':
        lines = io.StringIO(newline='')
        table = [[name, *names] for name, names in listed.items()]
        csv.writer(lines, lineterminator='\n').writerows([HEADER, *table])
        text = lines.getvalue()
    elif path.suffix == '.json':
        rows = ',\n'.join(
            f'{json.dumps(k)}: {json.dumps(v)}' for k, v in listed.items()
        )
        head = f'"format": "{FORMAT}",\n"classes": {json.dumps(list(classes))}'
        text = f'{{{head},\n"tags": {{\n{rows}\n}}}}\n'
    else:
        raise ValueError(f'{path} is neither .json nor .csv: choose one of them')
    with replacing(path) as aside:
        aside.write_text(text, 'utf-8')


def _from_json(text: str, classes: Sequence[str]) -> dict[str, list[str]]:
    found = json.loads(text, object_pairs_hook=_unique)
    if isinstance(found, dict) and found.get('format') == FORMAT:
        missing = sorted({'classes', 'tags'} - found.keys())
        if missing:
            raise ValueError(f'it has no {missing}')
        if found['classes'] != list(classes):
            raise ValueError(
                f'it was written for the classes {found["classes"]}, not for '
                f'{list(classes)}; give the file of this data set'
            )
        found = found['tags']
    if not isinstance(found, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in found.values()
    ):
        raise ValueError('it needs {"image": ["class", …], …}')
    return found


def _from_csv(text: str) -> dict[str, list[str]]:
    first, *rows = csv.reader(io.StringIO(text, newline='')) if text else [[]]
    if first != HEADER:
        raise ValueError(f'its first line is {",".join(first)!r}, not "image,tags"')
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return _unique([(row[0], row[1:]) for row in cells if row])


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'it has {twice!r} twice; remove one')
    return found
