"""The published file of VOC's image tags, a pickle."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmsemi.datasets.atomic import PathLike

from .image_tags import BACKGROUND

# what a pickled array of numbers needs; nothing of it runs code
_ARRAY_PARTS = {
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.numeric', '_frombuffer'),
    ('numpy._core.numeric', '_frombuffer'),
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('_codecs', 'encode'),
}
# what a damaged pickle may raise
_BROKEN = (
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    IndexError,
    ImportError,
)


def read_pickled_tags(path: PathLike, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the published ``cls_labels.npy`` of VOC, a pickled dict of arrays.

    A pickle can run code when it is loaded. Here nothing but arrays of numbers is
    accepted, so that it cannot; still, this is for one conversion by hand.

    Args:
        path: The file: image -> (C - 1,) without background, or (C,); above 0 where
            the class is there. An image is ``'2007_000032'`` or ``2007000032``.
        classes: Names of the C classes.

    Returns:
        Tags (C,) bool of each image; the background is always tagged where the file
        does not say.

    Raises:
        ValueError: The file is no such dict, holds anything else than arrays, or has
            other classes.
    """
    found = _unpickle_arrays(path)
    if not isinstance(found, dict) or not found:
        raise ValueError(
            f'{path} holds no dict of images: give the published cls_labels.npy'
        )
    tags = {}
    for key, values in found.items():
        name = key if isinstance(key, str) else f'{str(key)[:4]}_{str(key)[4:]}'
        row = np.asarray(values).ravel() > 0
        if classes[0] == BACKGROUND and len(row) == len(classes) - 1:
            row = np.append(True, row)
        if len(row) != len(classes):
            raise ValueError(
                f'{path} has {len(row)} classes for the image {name!r}, not the '
                f'{len(classes)} given: name the classes of this file'
            )
        tags[name] = row
    return tags


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f'it holds {module}.{name}')
        return super().find_class(module, name)


def _unpickle_arrays(path: PathLike) -> Any:
    """Return the object that an npy file holds."""
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        with open(path, 'rb') as file:
            _, _, dtype = read_header[np.lib.format.read_magic(file)](file)
            if not dtype.hasobject:
                raise ValueError(f'it is an array of {dtype}, not a dict')
            return _ArraysOnly(file, encoding='latin1').load().item()
    except (*_BROKEN, pickle.UnpicklingError) as error:
        raise ValueError(
            f'{path} is no dict of arrays in an npy file ({error}): give the published '
            'cls_labels.npy, and nothing of doubtful origin'
        ) from error
