"""Tags of an image: which classes it has."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import LabelData

from mmsemi.checks import check_choice
from mmsemi.datasets.annotations.image_tags import (
    BACKGROUND,
    VOID,
    class_names,
    read_voc_tags,
    tags_of_mask,
)
from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.annotations.tag_files import read_tag_file
from mmsemi.registry import TRANSFORMS

SUFFIXES = dict(voc='.xml', masks='.png', file='')


@TRANSFORMS.register_module()
class LoadImageTags(BaseTransform):
    """Load the tags of an image.

    They are those of the whole image, whatever is cropped later. Where the image also
    has a mask, stand behind ``LoadAnnotations``: a mask with a class that is not
    tagged is refused. :class:`PackSemiInputs` writes them into the data sample as
    ``gt_tags.item``.

    Added key: ``gt_tags`` (C,) bool, over all classes, the background among them.

    Args:
        format: ``'file'`` (one JSON or CSV, ``tools/make_image_tags.py`` writes it),
            ``'voc'`` (an XML for each image) or ``'masks'``, which simulates tags
            with masks.
        classes: Names of the data set's classes, or the name of a data set that has
            them, e.g. ``'PascalVOCDataset'``.
        path: The file, or the folder of XMLs or masks. For ``'masks'``, by default
            the mask that ``LoadAnnotations`` has loaded.
        img_folder: Folder of the images: tags are listed, or lie in the folder, under
            the path of the image below it. By default only file names count.
        img_suffix: End of the images' names, which tags do not have. Defaults to
            ``'.jpg'``.
        suffix: End of the names of XMLs or masks. By default ``.xml`` or ``.png``.
        reduce_zero_label: For a folder of masks: 0 is void and c + 1 the class c.
            Defaults to False.
        check_mask: Whether to refuse a mask that contradicts the tags. Without, a
            method ignores these pixels. Defaults to True.
        allow_empty: Whether an image may have no class but background. Defaults to
            False.

    Raises:
        ValueError: An option does not fit, or the file is that of another data set.
        FileNotFoundError: There is no such file.
    """

    def __init__(
        self,
        *,
        format: str,
        classes: str | Sequence[str],
        path: str | None = None,
        img_folder: str | None = None,
        img_suffix: str = '.jpg',
        suffix: str | None = None,
        reduce_zero_label: bool = False,
        check_mask: bool = True,
        allow_empty: bool = False,
    ) -> None:
        check_choice('LoadImageTags', format=(format, list(SUFFIXES)))
        if path is None and format != 'masks':
            raise ValueError(f'LoadImageTags format={format!r} needs a path')
        self.classes = class_names(classes)
        self.format, self.path = format, path
        self.img_folder, self.img_suffix = img_folder, img_suffix
        self.suffix = SUFFIXES[format] if suffix is None else suffix
        self.reduce_zero_label = reduce_zero_label
        self.check_mask = check_mask
        self.allow_empty = allow_empty
        self._listed: dict[str, np.ndarray] = {}
        if format == 'file':
            assert path is not None
            self._listed = read_tag_file(path, self.classes)
            self._check_folder()

    def transform(self, results: dict) -> dict:
        """Add the tags.

        Raises:
            FileNotFoundError: The image has no XML or mask.
            ValueError: The image has no tags, they contradict its mask, or this has a
                label that is no class.
        """
        image = results['img_path']
        mask = self._loaded_mask(results)
        if self.path is None and mask is None:
            raise ValueError(
                f"LoadImageTags format='masks' has neither a path nor the mask of "
                f'{image}: give a path, or put it behind LoadAnnotations'
            )
        source, tags = self._read(image, mask)
        self._check_objects(tags, source, image)
        if mask is not None and self.check_mask:
            self._check_mask(mask, tags, source, image)
        results['gt_tags'] = tags
        return results

    def check_image(self, image: str) -> None:
        """Refuse an image without tags before it is loaded; masks are not opened.

        Raises:
            FileNotFoundError: It has no XML.
            ValueError: It is not in the tag file, or has no class there.
        """
        if self.format != 'masks':
            source, tags = self._read(image, None)
            self._check_objects(tags, source, image)

    def _check_listed(self, image: str) -> None:
        """Refuse an image that is not in the tag file."""
        if self._name(image) not in self._listed:
            raise ValueError(
                f'{self.path} has no tags of the image {self._name(image)!r}, but of '
                f'{len(self._listed)} others, e.g. {next(iter(self._listed), None)!r}: '
                'is it the file of another data set? correct path, img_folder or '
                'img_suffix, or add the image'
            )

    def _read(self, image: str, mask: np.ndarray | None) -> tuple[str, np.ndarray]:
        """Return where the tags of an image are from, and a copy of them."""
        name = self._name(image)
        if self.format == 'file':
            self._check_listed(image)
            return f'{self.path}, image {name!r},', self._listed[name].copy()
        if self.path is None:
            assert mask is not None
            source = f'the mask of {image}'
            return source, tags_of_mask(mask, self.classes, source)
        path = os.path.join(self.path, name + self.suffix)
        if self.format == 'voc':
            return path, read_voc_tags(path, self.classes)
        label = read_label_map(path).astype(np.int64)
        if self.reduce_zero_label:
            label = np.where((label == 0) | (label == VOID), VOID, label - 1)
        return path, tags_of_mask(label, self.classes, path)

    def _check_objects(self, tags: np.ndarray, source: str, image: str) -> None:
        objects = tags[1:] if self.classes[0] == BACKGROUND else tags
        if not objects.any() and not self.allow_empty:
            raise ValueError(
                f'{source} has no tag of a class: add the tags of {image}, or set '
                'allow_empty=True if there are images of nothing but background'
            )

    @staticmethod
    def _loaded_mask(results: dict) -> np.ndarray | None:
        mask = results.get('gt_seg_map')
        whole = results.get('ori_shape')
        if mask is not None and whole and mask.shape[:2] != tuple(whole[:2]):
            raise ValueError(
                f'LoadImageTags got the mask of {results["img_path"]} after its size '
                'changed: put it right behind LoadAnnotations'
            )
        return mask

    def _check_mask(
        self, mask: np.ndarray, tags: np.ndarray, source: str, image: str
    ) -> None:
        # without what tags_of_mask adds for void pixels
        found = tags_of_mask(mask[mask != VOID], self.classes, f'the mask of {image}')
        wrong = [self.classes[label] for label in np.flatnonzero(found & ~tags)]
        if wrong:
            raise ValueError(
                f'the mask of {image} has pixels of {wrong}, which {source} does not '
                'tag: correct the tags or the mask, or set check_mask=False to ignore '
                'these pixels'
            )

    def _name(self, image: str) -> str:
        """Return the image's path below ``img_folder``, or its name, without suffix."""
        if self.img_folder is None:
            name = os.path.basename(image)
        else:
            name = os.path.relpath(image, self.img_folder).replace(os.sep, '/')
        return name.removesuffix(self.img_suffix)

    def _check_folder(self) -> None:
        if self.img_folder is None or '://' in self.img_folder:
            return
        files = (f'{name}{self.img_suffix}' for name in self._listed)
        if not any(os.path.isfile(os.path.join(self.img_folder, f)) for f in files):
            raise ValueError(
                f'none of the {len(self._listed)} images in {self.path} is in '
                f'{self.img_folder}: it is the file of another data set, or img_folder '
                'or img_suffix is wrong'
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(format={self.format!r}, path={self.path!r})'


def pack_tags(results: dict) -> LabelData:
    """Return the tags for a data sample, as ``item`` (C,) bool.

    Args:
        results: Of a pipeline with :class:`LoadImageTags`.
    """
    return LabelData(item=torch.from_numpy(results['gt_tags']))
