"""Boxes from annotation files: VOC's XML, COCO's JSON, Cityscapes' polygons.

Everywhere boxes are half-open ``(x1, y1, x2, y2)`` in pixels from 0: the first pixel
is [0, 1). Labels count the given classes from 1.
"""

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mmsemi.datasets.atomic import PathLike

from .json_fields import KEY, NUMBER, field, is_number, objects

Boxes = tuple[np.ndarray, np.ndarray]
"""Boxes (n, 4) float64 and their labels (n,) int64, 1…C."""

# labels of Cityscapes that no class is trained on
CITYSCAPES_VOID = {
    'unlabeled',
    'ego vehicle',
    'rectification border',
    'out of roi',
    'static',
    'dynamic',
    'ground',
    'parking',
    'rail track',
    'guard rail',
    'bridge',
    'tunnel',
    'polegroup',
    'caravan',
    'trailer',
    'license plate',
}


def read_voc_boxes(path: PathLike, classes: Sequence[str]) -> Boxes:
    """Read the XML of one image of PASCAL VOC.

    VOC counts pixels from 1 and both ends are inside; its boxes are converted. Parts
    of objects (heads, hands) are not read, objects marked difficult are.

    Args:
        path: The XML.
        classes: Names of the classes 1…C.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such XML, an object has no box or an unknown class, or a
            box is degenerate.
    """
    root = _parse(path, ElementTree.parse, ElementTree.ParseError).getroot()
    boxes, labels = [], []
    for thing in root.iterfind('object'):
        name = (thing.findtext('name') or '').strip()
        ends = [
            thing.findtext(f'bndbox/{end}') for end in ('xmin', 'ymin', 'xmax', 'ymax')
        ]
        try:
            x1, y1, x2, y2 = (float(end or '') for end in ends)
        except ValueError as error:
            raise ValueError(
                f'{path}: the object {name!r} has no bndbox with xmin, ymin, xmax and '
                f'ymax (found {ends}): add them, or delete the object'
            ) from error
        boxes.append((x1 - 1, y1 - 1, x2, y2))
        labels.append(_label(name, classes, path))
    return as_boxes(boxes, labels, path)


def read_cityscapes_boxes(path: PathLike, classes: Sequence[str]) -> Boxes:
    """Read the polygons of one image of Cityscapes, each as a box.

    One box for each polygon whose label is trained on, things and stuff alike; it
    holds the pixels of the polygon's corners. A group ("cargroup") is one box of its
    class, deleted objects are left out, and boxes end at the image's edge.

    Args:
        path: The ``_gtFine_polygons.json``.
        classes: Names of the classes 1…C.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such JSON, or a label is unknown.
    """
    found = _parse_json(path, ('imgHeight', 'imgWidth', 'objects'))
    edge = [field(found, side, NUMBER, path) for side in ('imgWidth', 'imgHeight')]
    if min(edge) <= 0:
        raise ValueError(
            f'{path}: imgWidth and imgHeight are {edge}: write the size of the image'
        )
    boxes, labels = [], []
    for where, thing in objects(found, 'objects', path):
        if thing.get('deleted'):
            continue
        name = field(thing, 'label', str, where)
        if name in CITYSCAPES_VOID:
            continue
        name = name if name in classes else name.removesuffix('group')
        corners = _corners(field(thing, 'polygon', list, where), where)
        first, last = corners.min(0), corners.max(0) + 1
        first, last = first.clip(0, edge), last.clip(0, edge)
        if (first < last).all():
            boxes.append((*first, *last))
            labels.append(_label(name, classes, path))
    return as_boxes(boxes, labels, path)


def _corners(polygon: list, where: str) -> np.ndarray:
    """Return the corners (n, 2), n > 0."""
    pairs = [isinstance(corner, list) and len(corner) == 2 for corner in polygon]
    numbers = all(pairs) and all(is_number(x) for corner in polygon for x in corner)
    if not (polygon and numbers):
        raise ValueError(
            f'{where}: polygon = {polygon!r:.60} must be corners [x, y]: correct it, '
            'or delete the object'
        )
    return np.array(polygon, dtype=float)


def read_coco_boxes(path: PathLike, classes: Sequence[str]) -> dict[str, Boxes]:
    """Read the boxes of all images from a JSON of COCO's form.

    ``images`` (id, file_name), ``categories`` (id, name) and ``annotations``
    (image_id, category_id, bbox as x, y, width, height from 0).

    Args:
        path: The JSON.
        classes: Names of the classes 1…C.

    Returns:
        The boxes of each image by its ``file_name``, also where there are none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such JSON, a box is degenerate, of an unknown class, or
            of an image that is not listed.
    """
    found = _parse_json(path, ('images', 'annotations', 'categories'))
    names = _by_id(found, 'images', 'file_name', path)
    labels = _by_id(found, 'categories', 'name', path)
    grouped: dict[str, tuple[list, list]] = {name: ([], []) for name in names.values()}
    for where, item in objects(found, 'annotations', path):
        image = field(item, 'image_id', KEY, where)
        category = field(item, 'category_id', KEY, where)
        if image not in names:
            raise ValueError(
                f'{where}: its image {image} is not among the "images": add the image, '
                'or delete the annotation'
            )
        if category not in labels:
            raise ValueError(
                f'{where}: its category {category} is not among the "categories": add '
                'it there'
            )
        box = field(item, 'bbox', list, where)
        if len(box) != 4 or not all(map(is_number, box)):
            raise ValueError(
                f'{where}: bbox={box!r} must be the four numbers x, y, width and '
                'height: correct it, or delete the annotation'
            )
        x, y, width, height = box
        boxes, numbers = grouped[names[image]]
        boxes.append((x, y, x + width, y + height))
        numbers.append(_label(labels[category], classes, where))
    return {
        name: as_boxes(*lists, f'{path}, image {name}')
        for name, lists in grouped.items()
    }


def _by_id(found: dict, listed: str, text: str, path: PathLike) -> dict[Any, str]:
    """Return a text of each object of a list, by its id."""
    texts: dict[Any, str] = {}
    for where, item in objects(found, listed, path):
        key, value = field(item, 'id', KEY, where), field(item, text, str, where)
        if key in texts:
            raise ValueError(
                f'{path}, {listed}: two have the id {key}, {texts[key]} and {value}: '
                'give each its own'
            )
        texts[key] = value
    return texts


def coco_boxes(
    images: dict[str, Boxes], sizes: dict[str, tuple[int, int]], classes: Sequence[str]
) -> dict[str, list[dict]]:
    """Return boxes in COCO's form, as :func:`read_coco_boxes` reads them.

    Args:
        images: Boxes of each image by its file name.
        sizes: Height and width of each image.
        classes: Names of the classes 1…C.

    Returns:
        A dict for ``json.dump``.
    """
    annotations: list[dict] = []
    for number, (boxes, labels) in enumerate(images.values(), 1):
        for (x1, y1, x2, y2), label in zip(
            boxes.tolist(), labels.tolist(), strict=True
        ):
            box = dict(
                id=len(annotations) + 1,
                image_id=number,
                category_id=label,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=0,
            )
            annotations.append(box)
    return dict(
        images=[
            dict(id=i, file_name=name, height=sizes[name][0], width=sizes[name][1])
            for i, name in enumerate(images, 1)
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
        annotations=annotations,
    )


def as_boxes(boxes: Sequence, labels: Sequence[int], path: PathLike) -> Boxes:
    """Make arrays of lists, and refuse boxes without area.

    Raises:
        ValueError: A box has no area, or a side is no finite number.
    """
    found = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    for x1, y1, x2, y2 in found.tolist():
        if not (x1 < x2 and y1 < y2 and np.isfinite([x1, y1, x2, y2]).all()):
            raise ValueError(
                f'{path}: the box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) (x, y from '
                '0, end outside) has no area: correct or delete it'
            )
    return found, np.array(labels, dtype=np.int64)


def _label(name: str, classes: Sequence[str], path: PathLike) -> int:
    if name not in classes:
        raise ValueError(
            f'{path} has a box of the class {name!r}, which is none of '
            f'{list(classes)}: correct the name, or classes'
        )
    return list(classes).index(name) + 1


def _parse(path: PathLike, read: Any, error_type: type[Exception]) -> Any:
    try:
        with open(path, 'rb') as file:
            return read(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'there are no boxes at {path}: correct path, img_folder or the suffixes '
            'of LoadBoxes, or take the image off the list'
        ) from error
    except (error_type, UnicodeDecodeError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}): it is damaged or truncated, copy it '
            'again'
        ) from error


def _parse_json(path: PathLike, keys: Sequence[str]) -> dict:
    found = _parse(path, json.load, json.JSONDecodeError)
    missing = [key for key in keys if not isinstance(found, dict) or key not in found]
    if missing:
        raise ValueError(
            f'{path} has no {missing}: LoadBoxes needs a JSON with {list(keys)}'
        )
    return found
