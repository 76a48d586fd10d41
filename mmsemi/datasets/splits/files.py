"""The lists of a split: read and import published ones.

A list holds one image id per line. An id is what mmseg's ``ann_file`` wants: the image
path relative to ``data_prefix['img_path']`` without ``img_suffix``.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsemi.datasets.atomic import PathLike, write_splits

_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')
_KNOWN_PREFIX = re.compile(r'^(?:.*/)?(?:JPEGImages|leftImg8bit/\w+)/')


def image_id(
    path: str, img_prefix: str | None = None, img_suffix: str | None = None
) -> str:
    """Turn an image path of a published list into mmseg's image id.

    Args:
        path: Path from the data root.
        img_prefix: The folder that ``data_prefix['img_path']`` names. By default
            ``JPEGImages`` (VOC) or ``leftImg8bit/<set>`` (Cityscapes) where the path
            has one of them, else none.
        img_suffix: By default ``_leftImg8bit.png`` or the file extension.

    Raises:
        ValueError: The path lacks the given prefix or suffix.
    """
    name = path.replace('\\', '/').lstrip('/')
    if img_prefix is None:
        name = _KNOWN_PREFIX.sub('', name)
    else:
        folder = img_prefix.strip('/') + '/'
        if not name.startswith(folder):
            raise ValueError(f"'{path}' does not start with the prefix '{folder}'")
        name = name[len(folder) :]
    if img_suffix is None:
        return os.path.splitext(name)[0].removesuffix('_leftImg8bit')
    if not name.endswith(img_suffix):
        raise ValueError(f"'{path}' does not end with the suffix '{img_suffix}'")
    return name.removesuffix(img_suffix)


def _parse_line(
    line: str, img_prefix: str | None, img_suffix: str | None
) -> tuple[str, str]:
    """Return the id and the format (``id``, ``path`` or ``image mask``) of a line."""
    words = line.split()
    is_path = [word.lower().endswith(_EXTENSIONS) for word in words]
    if is_path == [False]:
        return words[0], 'id'
    if is_path == [True]:
        return image_id(words[0], img_prefix, img_suffix), 'path'
    if is_path != [True, True]:
        raise ValueError(
            f"'{line.strip()}' is neither an id, nor a path, nor an 'image mask' pair"
        )
    name = image_id(words[0], img_prefix, img_suffix)
    if not Path(words[1]).name.startswith(Path(name).name):
        raise ValueError(
            f"mask '{words[1]}' is not named after image '{words[0]}', and mmseg "
            'finds masks by the image id only; rename it or give the image suffix'
        )
    return name, 'image mask'


def _numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines that are not blank, at least one, with their numbers from 1."""
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no list {path}; make it with tools/make_splits.py.'
        )
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not a text file; give a list of images.'
        ) from error
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f'{path} is empty; a list needs at least one image.')
    return lines


def parse_split(
    path: PathLike, *, img_prefix: str | None = None, img_suffix: str | None = None
) -> tuple[list[str], str]:
    """Read a list in any of the three published line formats.

    Formats: ``id`` (``2008_006748``, as U2PL's VOC lists), ``image mask``
    (``JPEGImages/x.jpg SegmentationClass/x.png``, as CPS, ST++ and UniMatch) and
    ``path`` (``leftImg8bit/train/aachen/x_leftImg8bit.png``, as U2PL's Cityscapes
    lists). Blank lines and a missing last newline do not matter.

    Args:
        path: The list.
        img_prefix: See :func:`image_id`.
        img_suffix: See :func:`image_id`.

    Returns:
        The ids in the file's order, and the name of the format.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The list is empty, mixes formats, or repeats an image.
    """
    path = Path(path)
    first_line: dict[str, int] = {}
    line_format = ''
    for number, line in _numbered_lines(path):
        try:
            name, seen = _parse_line(line, img_prefix, img_suffix)
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}.') from None
        if seen != (line_format or seen):
            raise ValueError(
                f"{path}, line {number} has the format '{seen}', the lines before it "
                f"'{line_format}'; write all lines in one format."
            )
        if name in first_line:
            raise ValueError(
                f"{path}, line {number} repeats '{name}' of line {first_line[name]}; "
                'remove one of them.'
            )
        line_format, first_line[name] = seen, number
    return list(first_line), line_format


def read_split(
    path: PathLike, *, img_prefix: str | None = None, img_suffix: str | None = None
) -> list[str]:
    """Read the ids of a list: :func:`parse_split` without the format."""
    return parse_split(path, img_prefix=img_prefix, img_suffix=img_suffix)[0]


def read_pair(
    labeled: PathLike,
    unlabeled: PathLike,
    *,
    img_prefix: str | None = None,
    img_suffix: str | None = None,
) -> tuple[list[str], list[str]]:
    """Read both lists of a split and refuse an image that is in both.

    Raises:
        ValueError: A list is bad (see :func:`parse_split`) or the lists overlap.
    """
    first = read_split(labeled, img_prefix=img_prefix, img_suffix=img_suffix)
    second = read_split(unlabeled, img_prefix=img_prefix, img_suffix=img_suffix)
    inside = set(second)
    both = [name for name in first if name in inside]
    if both:
        names = ', '.join(both[:20]) + (', ...' if len(both) > 20 else '')
        raise ValueError(
            f'{len(both)} images are in both {labeled} and {unlabeled} ({names}); '
            'remove each from one of them.'
        )
    return first, second


def import_splits(
    src: PathLike,
    out: PathLike,
    ids: Sequence[str],
    families: Mapping[int, str] | str,
    force: bool = False,
) -> list[Path]:
    """Import every published split below a folder.

    Args:
        src: Folder; each ``labeled.txt`` in it has an ``unlabeled.txt`` beside it.
        out: A split goes to ``out/<family>/<number of labeled images>/``.
        ids: All train images; the lists may name no other.
        families: One family for all ('' for no such folder), or number of labeled
            images -> family.
        force: Replace lists that differ.

    Returns:
        The folders of the splits.

    Raises:
        FileNotFoundError: There is no list below ``src``.
        ValueError: A list is bad, of unknown family, or names an unknown image; or two
            splits would go to one folder.
    """
    lists: dict[Path, list[str]] = {}
    known = set(ids)
    for path in sorted(Path(src).rglob('labeled.txt')):
        labeled, unlabeled = read_pair(path, path.with_name('unlabeled.txt'))
        num = len(labeled)
        family = families if isinstance(families, str) else families.get(num)
        if family is None:
            raise ValueError(
                f'{path} has {num} images, the size of no published family; name one '
                'with --family.'
            )
        folder = Path(out) / family / str(num)
        unknown = [name for name in [*labeled, *unlabeled] if name not in known]
        if unknown:
            raise ValueError(
                f"{path.parent} names '{unknown[0]}' ({len(unknown)} in all), which is "
                'no train image; give the lists of this data set.'
            )
        if lists.get(folder / 'labeled.txt', labeled) != labeled:
            raise ValueError(
                f'{path} is the second split with {num} labeled images below {src}; '
                'import one folder at a time, each with its own --family.'
            )
        lists |= {folder / 'labeled.txt': labeled, folder / 'unlabeled.txt': unlabeled}
        print(f'{folder}: {num} labeled, {len(unlabeled)} unlabeled')
    if not lists:
        raise FileNotFoundError(
            f'There is no labeled.txt below {src}; give the folder of published lists.'
        )
    write_splits(lists, force=force)
    return list(dict.fromkeys(path.parent for path in lists))
