"""Boxes of an image, which follow it through resize, crop and flip."""

import os
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmsemi.checks import check_choice
from mmsemi.datasets.annotations.box_files import (
    Boxes,
    read_cityscapes_boxes,
    read_coco_boxes,
    read_voc_boxes,
)
from mmsemi.datasets.annotations.boxes_from_masks import (
    boxes_of_components,
    boxes_of_instances,
)
from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.file_checks import picture_size
from mmsemi.registry import DATASETS, TRANSFORMS

SUFFIXES = dict(
    voc='.xml',
    cityscapes='_gtFine_polygons.json',
    instances='.png',
    components='.png',
    coco='',
)
# annotation tools disagree about the first pixel's number
TOLERANCE = 1.0


@TRANSFORMS.register_module()
class LoadBoxes(BaseTransform):
    """Load the boxes of an image.

    It stands behind ``LoadImageFromFile``. mmseg's ``Resize``, ``RandomResize``,
    ``RandomFlip`` and ``Pad`` move the boxes with the image; for its ``RandomCrop``
    take :class:`RandomCropWithBoxes`. Transforms that turn or warp images do not move
    them. :class:`PackSemiInputs` writes ``gt_instances`` with ``bboxes``,
    ``labels`` and ``areas`` into the data sample.

    Added keys: ``gt_bboxes`` (n + 1, 4) float64, half-open xyxy;
    ``gt_bboxes_labels`` (n + 1,), classes 1…C; ``box_classes``, their names. The last
    box, of label 0, is the image itself: it shows at the end whether the boxes were
    moved with the image.

    Args:
        format: ``'voc'`` (an XML for each image), ``'coco'`` (one JSON),
            ``'cityscapes'`` (a JSON of polygons for each image), ``'instances'`` (a
            PNG of instance numbers for each image, and ``mask_folder``) or
            ``'components'`` (connected components of a mask).
        path: Folder of the files, or COCO's JSON.
        classes: Names of the data set's classes, or the name of a data set that has
            them, e.g. ``'PascalVOCDataset'``. A first class ``background`` has no
            boxes and is not counted.
        img_folder: Folder of the images: the box files have the same paths below
            ``path``. By default only the file names are the same.
        img_suffix: End of the images' names that the box files do not have. Defaults
            to ``'.jpg'``.
        suffix: End of the box files' names in its place. By default that of the
            format, e.g. ``.xml``.
        mask_folder: Folder of the masks, for ``'instances'`` only.
        min_area: Components of fewer pixels have no box, for ``'components'`` only.
            Defaults to 1.
        allow_empty: Whether an image may have no box. Defaults to False.

    Raises:
        ValueError: An option does not fit.
        FileNotFoundError: COCO's JSON is not there, or lists an image that is not in
            ``img_folder``.
    """

    def __init__(
        self,
        *,
        format: str,
        path: str,
        classes: str | Sequence[str],
        img_folder: str | None = None,
        img_suffix: str = '.jpg',
        suffix: str | None = None,
        mask_folder: str | None = None,
        min_area: int = 1,
        allow_empty: bool = False,
    ) -> None:
        _check_options(format, mask_folder, min_area)
        names = _class_names(classes)
        self.background = names[0] == 'background'
        self.classes = names[1:] if self.background else names
        self.format, self.path, self.mask_folder = format, path, mask_folder
        self.img_folder, self.img_suffix = img_folder, img_suffix
        self.suffix = SUFFIXES[format] if suffix is None else suffix
        self.min_area, self.allow_empty = min_area, allow_empty
        self._listed: dict[str, Boxes] = {}
        if format == 'coco':
            self._listed = read_coco_boxes(path, self.classes)
            self._check_images()

    def transform(self, results: dict) -> dict:
        """Add the boxes.

        Raises:
            FileNotFoundError: The image has no file of boxes.
            ValueError: The boxes are wrong, outside of the image, or there is none.
        """
        height, width = results['img'].shape[:2]
        if tuple(results.get('ori_shape', (height, width))[:2]) != (height, width):
            raise ValueError(
                f'LoadBoxes got {results.get("img_path")} after its size changed: put '
                'it right behind LoadImageFromFile'
            )
        source, (boxes, labels) = self._read(results['img_path'])
        if len(boxes) == 0 and not self.allow_empty:
            raise ValueError(
                f'{source} has no box: add the boxes of the image, or set '
                'allow_empty=True if there are images without any object'
            )
        frame = np.array([[0, 0, width, height]], dtype=np.float64)
        inside = boxes.clip(0, np.tile(frame[:, 2:], 2))
        wrong = np.abs(inside - boxes).max(1, initial=0) > TOLERANCE
        wrong |= (inside[:, :2] >= inside[:, 2:]).any(1)
        if wrong.any():
            raise ValueError(
                f'{source} has the box {boxes[wrong][0].tolist()} (x1, y1, x2, y2), '
                f'outside of its image {results["img_path"]} of {width} x {height}: '
                'correct the box, or give the boxes of this image'
            )
        results['gt_bboxes'] = np.concatenate([inside, frame])
        results['gt_bboxes_labels'] = np.append(labels, 0)
        results['box_classes'] = tuple(self.classes)
        return results

    def _read(self, image: str) -> tuple[str, Boxes]:
        """Return the boxes of an image, and where they are from."""
        if self.format == 'coco':
            name = self._name(image)
            if name not in self._listed:
                raise ValueError(
                    f'{self.path} does not list the image {name}: add it to "images", '
                    'also if it has no box, or correct img_folder'
                )
            return f'{self.path}, image {name},', self._listed[name]
        path = self.box_file(image)
        if self.format == 'voc':
            return path, read_voc_boxes(path, self.classes)
        if self.format == 'cityscapes':
            return path, read_cityscapes_boxes(path, self.classes)
        number, options = len(self.classes), dict(background=self.background)
        found = read_label_map(path)
        try:
            if self.mask_folder is None:
                return path, boxes_of_components(
                    found, number, min_area=self.min_area, **options
                )
            mask = read_label_map(self._mask_file(path))
            return path, boxes_of_instances(found, mask, number, **options)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _mask_file(self, path: str) -> str:
        """Return the mask that belongs to a map of instances."""
        return os.path.join(self.mask_folder or '', os.path.relpath(path, self.path))

    def box_file(self, image: str) -> str:
        """Return the file that the boxes of an image are read from."""
        if self.format == 'coco':
            return self.path
        stem = self._name(image).removesuffix(self.img_suffix)
        return os.path.join(self.path, stem + self.suffix)

    def check_image(self, image: str) -> None:
        """Refuse an image whose boxes are missing or wrong, before it is loaded.

        Of masks and instance maps, only whether they are there: they would have to be
        decoded.

        Raises:
            FileNotFoundError: The image has no file of boxes.
            ValueError: The boxes are wrong, outside of the image, or there is none.
        """
        if '://' in image:
            return
        if self.format not in ('instances', 'components'):
            self.transform(
                dict(img_path=image, img=np.broadcast_to(0, picture_size(image)))
            )
            return
        files = [self.box_file(image)]
        if self.mask_folder is not None:
            files.append(self._mask_file(files[0]))
        for path in files:
            if not os.path.isfile(path):
                raise FileNotFoundError(
                    f'there are no boxes at {path}: correct path, img_folder or the '
                    'suffixes of LoadBoxes, or take the image off the list'
                )

    def _name(self, image: str) -> str:
        """Return the image's path below ``img_folder``, or its file name."""
        if self.img_folder is None:
            return os.path.basename(image)
        return os.path.relpath(image, self.img_folder)

    def _check_images(self) -> None:
        if self.img_folder is None or '://' in self.img_folder:
            return
        for name in self._listed:
            if not os.path.isfile(os.path.join(self.img_folder, name)):
                raise FileNotFoundError(
                    f'{self.path} has boxes for the image {name}, which is not in '
                    f'{self.img_folder}: correct img_folder, or take it off the JSON'
                )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(format={self.format!r}, path={self.path!r})'


def _check_options(format: str, mask_folder: str | None, min_area: int) -> None:
    """Refuse options that do not fit the format."""
    check_choice('LoadBoxes', format=(format, list(SUFFIXES)))
    if (mask_folder is None) == (format == 'instances'):
        needs = 'needs a' if mask_folder is None else 'has no'
        raise ValueError(
            f'LoadBoxes format={format!r} {needs} mask_folder: it says the class '
            'of each instance'
        )
    if min_area != 1 and format != 'components':
        raise ValueError(
            f'LoadBoxes format={format!r} has no min_area: remove it, all boxes '
            'of the files are taken'
        )


def _class_names(classes: str | Sequence[str]) -> list[str]:
    if isinstance(classes, str):
        dataset = DATASETS.get(classes)
        if dataset is None or not dataset.METAINFO.get('classes'):
            raise ValueError(
                f'LoadBoxes classes={classes!r} is no data set with classes: give the '
                "name of one, e.g. 'PascalVOCDataset', or a list of class names"
            )
        classes = dataset.METAINFO['classes']
    if not [name for name in classes if name != 'background']:
        raise ValueError('LoadBoxes has no classes: name at least one')
    return list(classes)
