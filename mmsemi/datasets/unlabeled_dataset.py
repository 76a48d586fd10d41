"""Images without any label."""

import os
from collections.abc import Sequence
from typing import Any

from mmseg.datasets import BaseSegDataset

from mmsemi.registry import DATASETS

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class UnlabeledDataset(BaseSegDataset):
    """A folder or a list of images, and never a mask.

    With an ``ann_file`` each line is an image as in mmseg's data sets: the
    path below ``data_prefix['img_path']`` without ``img_suffix``. Without
    one, every image below the folder is taken.

    Args:
        ann_file: List of images. Defaults to ``''``, the whole folder.
        img_suffix: Suffix of the listed images; for a folder, a suffix or
            several, in any case. By default ``.jpg`` for a list, and every common
            image suffix for a folder.
        **kwargs: ``data_root``, ``data_prefix=dict(img_path=…)``,
            ``pipeline``, ``metainfo`` and the rest of
            :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: If the prefix names masks or the pipeline loads them, a list
            comes with several suffixes, or nothing is found.
        FileNotFoundError: If the list or the folder does not exist.
    """

    def __init__(
        self,
        ann_file: str = '',
        img_suffix: str | Sequence[str] | None = None,
        **kwargs: object,
    ) -> None:
        _refuse_masks(kwargs.get('data_prefix'), kwargs.get('pipeline'))
        if img_suffix is None:
            img_suffix = '.jpg' if ann_file else IMAGE_SUFFIXES
        if ann_file and not isinstance(img_suffix, str):
            raise ValueError(
                f'UnlabeledDataset got the list {ann_file} and the suffixes '
                f'{list(img_suffix)}: a list needs one img_suffix (give "" and '
                'write the suffixes into the list, or take the folder)'
            )
        super().__init__(ann_file=ann_file, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one dict with ``img_path`` for each image."""
        folder = self.data_prefix.get('img_path') or self.data_root or ''
        if self.ann_file:
            names = _read_list(self.ann_file, self.img_suffix)
        else:
            names = _search(folder, self.img_suffix)
        if not names:
            raise ValueError(
                f'no unlabelled image in {self.ann_file or folder!r} '
                f'(suffix {self.img_suffix}): correct the path or img_suffix'
            )
        other = dict(label_map=None, reduce_zero_label=False)
        return [
            dict(img_path=os.path.join(folder, name), seg_fields=[], **other)
            for name in names
        ]


def _read_list(path: str, suffix: str) -> list[str]:
    """Return the images of a list, below their folder."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'the list of unlabelled images {path} does not exist: correct ann_file, '
            'or make it with tools/make_splits.py'
        )
    with open(path, encoding='utf-8') as file:
        lines = [line.strip() for line in file]
    return [f'{line}{suffix}' for line in lines if line]


def _search(folder: str, suffixes: str | Sequence[str]) -> list[str]:
    """Return all images below a folder, sorted."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f'the folder of unlabelled images {folder!r} does not exist: correct '
            'data_root or data_prefix.img_path'
        )
    suffixes = [suffixes] if isinstance(suffixes, str) else suffixes
    endings = tuple(suffix.lower() for suffix in suffixes)
    return sorted(
        os.path.relpath(os.path.join(root, file), folder)
        for root, _, files in os.walk(folder, followlinks=True)
        for file in files
        # a Mac writes ._name.jpg beside name.jpg, which is no image
        if file.lower().endswith(endings) and not file.startswith('.')
    )


def _refuse_masks(prefix: Any, pipeline: Any) -> None:
    """Refuse arguments of a data set with masks."""
    if isinstance(prefix, dict) and prefix.get('seg_map_path'):
        raise ValueError(
            'UnlabeledDataset got data_prefix.seg_map_path = '
            f'{prefix["seg_map_path"]!r}: unlabelled images have no masks, remove it'
        )
    for step in pipeline or []:
        kind = str(step.get('type') if isinstance(step, dict) else '')
        if kind.endswith('LoadAnnotations'):
            raise ValueError(
                f'the pipeline of UnlabeledDataset has {kind}: unlabelled images '
                'have no masks, remove it'
            )
