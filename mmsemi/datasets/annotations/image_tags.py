"""Image tags: which classes an image has, from XML or masks.

Everywhere tags are an array (C,) bool over all classes, the background among them.
"""

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from mmsemi.datasets.atomic import PathLike
from mmsemi.registry import DATASETS

BACKGROUND = 'background'
VOID = 255


def class_names(classes: str | Sequence[str]) -> list[str]:
    """Return the names of a data set's classes.

    Args:
        classes: The names, or the name of a data set that has them, e.g.
            ``'PascalVOCDataset'``.

    Raises:
        ValueError: There is no such data set, or it has no classes.
    """
    if not isinstance(classes, str):
        found = list(classes)
    else:
        dataset = DATASETS.get(classes)
        found = list(dataset.METAINFO.get('classes') or ()) if dataset else []
    if not found:
        raise ValueError(
            f'classes={classes!r} names no classes: give the name of a data set that '
            "has them, e.g. 'PascalVOCDataset', or a list of class names"
        )
    return found


def encode_tags(
    names: Sequence[str], classes: Sequence[str], source: str
) -> np.ndarray:
    """Turn class names into tags.

    Args:
        names: Classes of an image.
        classes: Names of the C classes.
        source: Where the names are from, for the message.

    Returns:
        (C,) bool.

    Raises:
        ValueError: A name is none of the classes.
    """
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise ValueError(
            f'{source} has the tag {unknown[0]!r}, which is none of {list(classes)}: '
            'correct the name, or give the classes and tags of one data set'
        )
    return np.array([name in names for name in classes])


def read_voc_tags(path: PathLike, classes: Sequence[str]) -> np.ndarray:
    """Read the tags of an image from the XML of PASCAL VOC.

    The classes of its objects, those marked difficult included. An XML does not say
    whether there is background: the class ``background``, if it is the first, is
    always tagged.

    Args:
        path: The XML.
        classes: Names of the C classes.

    Returns:
        (C,) bool.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no XML, or an object is of an unknown class.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'there are no tags at {path}: correct path, img_folder or the suffixes of '
            'LoadImageTags, or take the image off the list'
        ) from error
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}): it is damaged or truncated, copy it '
            'again'
        ) from error
    names = [(node.findtext('name') or '').strip() for node in root.iterfind('object')]
    if classes[0] == BACKGROUND:
        names.append(BACKGROUND)
    return encode_tags(names, classes, str(path))


def tags_of_mask(
    mask: np.ndarray, classes: Sequence[str], source: str = 'the mask'
) -> np.ndarray:
    """Take the tags of an image from its whole mask, to simulate tags.

    As LPL's released code: a class is tagged if it has a pixel, and the background
    also if there is a void pixel. Without a class ``background``, void is no tag.

    Args:
        mask: Class indices (H, W), 255 is void.
        classes: Names of the C classes.
        source: What the mask is, for the message.

    Returns:
        (C,) bool.

    Raises:
        ValueError: A label is outside the classes.
    """
    labels = np.unique(mask)
    outside = labels[(labels >= len(classes)) & (labels != VOID)]
    if len(outside):
        raise ValueError(
            f'{source} holds the label(s) {outside.tolist()}, but the {len(classes)} '
            f'classes are 0 … {len(classes) - 1} and void is {VOID}: correct the mask, '
            'classes or reduce_zero_label'
        )
    tags = np.zeros(len(classes), dtype=bool)
    tags[labels[labels != VOID]] = True
    if classes[0] == BACKGROUND:
        tags[0] |= VOID in labels
    return tags
