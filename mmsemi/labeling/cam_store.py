"""A folder of seeds (class activation maps) that says what they were made of."""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process

from mmsemi.datasets.atomic import PathLike

from .pseudo_label_folder import (
    MANIFEST,
    check_label_folder,
    read_manifest,
    remove_asides,
    write_whole,
)
from .pseudo_label_store import COMPARED, _difference

FORMAT = 'mmsemi seeds 1'
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class CamStore:
    """Seeds of one model, as ``<folder>/<id>.npz``.

    Each file holds ``classes`` (K,), the classes 1…C of the image, and ``cam``
    (K, H, W), their maps in half precision at the size of the image. Files appear
    whole or not at all. ``manifest.json`` says which weights and settings made them:
    opening the folder again with the same manifest goes on where it was cut; any
    other content is refused. On several ranks all must open it together.

    Args:
        folder: Where the seeds go; it is made.
        manifest: What the seeds are made of: ``model``, ``checkpoints``, ``sha256``
            (of the weights), ``settings``, ``classes`` (background first) and
            ``images``. The last four are compared with a manifest that is there; the
            others are for the reader.
        overwrite: Delete the seeds of another manifest, instead of refusing them.

    Raises:
        ValueError: The folder holds files of another origin, or seeds of another
            model, settings or list.
        OSError: The folder cannot be written.
    """

    def __init__(
        self, folder: PathLike, manifest: dict[str, Any], *, overwrite: bool = False
    ) -> None:
        self.folder = Path(folder)
        # as it is read back, so that the two can be compared
        self.manifest = json.loads(json.dumps(dict(format=FORMAT) | manifest))
        outcome: list[Exception | None] = [None]
        if is_main_process():
            try:
                self._open(overwrite)
            except (OSError, ValueError) as error:
                outcome[0] = error
        broadcast_object_list(outcome)
        if outcome[0] is not None:
            raise outcome[0]

    @classmethod
    def load(cls, folder: PathLike) -> 'CamStore':
        """Open the finished seeds of an earlier stage, to read them.

        Raises:
            ValueError: The folder holds no seeds, or not all of them.
        """
        manifest = read_cam_manifest(folder)
        if manifest is None:
            raise ValueError(
                f'{folder} holds no seeds ({MANIFEST} of {FORMAT!r} is missing): give '
                'the folder that the seeds were written to'
            )
        if not manifest.get('finished'):
            raise ValueError(
                f'the seeds in {folder} are not all there: run the stage that writes '
                'them to its end'
            )
        store = cls.__new__(cls)
        store.folder, store.manifest = Path(folder), manifest
        return store

    def path(self, name: str) -> Path:
        """Return where the seed of an image goes."""
        return self.folder / f'{name}.npz'

    def has(self, name: str) -> bool:
        """Say whether an image has a seed that can be read."""
        try:
            self.read(name)
        except (FileNotFoundError, ValueError):
            return False
        return True

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes (K,) int64 and maps (K, H, W) float32 of an image.

        Raises:
            FileNotFoundError: There is no seed of this image.
            ValueError: The file is damaged.
        """
        return read_seed(self.path(name), len(self.manifest['classes']))

    def write(self, name: str, classes: np.ndarray, cam: np.ndarray) -> None:
        """Write the seed of an image.

        Args:
            name: The image's id; it may name subfolders.
            classes: Different classes 1…C (K,); K may be 0.
            cam: Their maps (K, H, W).

        Raises:
            ValueError: The classes and maps do not fit, or a value is not finite in
                half precision.
            OSError: The file cannot be written.
        """
        classes, half = np.asarray(classes), np.asarray(cam, dtype=np.float32)
        problem = _problem(classes, half, len(self.manifest['classes']))
        # beyond float16 a value would be written as infinite
        if problem is None and not (np.abs(half) < 65504).all():
            problem = 'a value that is not finite in half precision (normalise it)'
        if problem:
            raise ValueError(f'the seed of {name} has {problem}')
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, classes=classes.astype(np.int64), cam=half.astype(np.float16)
        )
        write_whole(self.path(name), buffer.getvalue())

    def finish(self, **results: Any) -> None:
        """Note in the manifest that all seeds are there, and what they are."""
        if is_main_process():
            self._note(finished=True, **results)

    def _note(self, **results: Any) -> None:
        text = json.dumps(self.manifest | results, indent=1, ensure_ascii=False)
        write_whole(self.folder / MANIFEST, (text + '\n').encode())

    def _open(self, overwrite: bool) -> None:
        """Look at what is there, and note what will be."""
        check_cam_folder(self.folder)
        known = read_cam_manifest(self.folder)
        remove_asides(self.folder)
        if known is not None:
            changed = [k for k in COMPARED if known.get(k) != self.manifest.get(k)]
            if not changed:
                return
            if not overwrite:
                raise ValueError(
                    f'{self.folder} holds seeds of other {changed[0]} '
                    f'({_difference(known, self.manifest, changed[0])}): choose an '
                    'empty folder, or pass overwrite to delete them'
                )
            # the manifest goes last, for they are known by it
            for path in self.folder.glob('**/*.npz'):
                path.unlink()
        self._note(finished=False)


def check_cam_folder(folder: PathLike) -> None:
    """Refuse a folder whose files are not seeds.

    Raises:
        ValueError: There are such files.
    """
    if read_manifest(folder) is not None:
        raise ValueError(
            f'{folder} holds pseudo-labels: give an empty folder for the seeds'
        )
    if read_cam_manifest(folder) is None:
        check_label_folder(folder)


def read_cam_manifest(folder: PathLike) -> dict[str, Any] | None:
    """Return the manifest of a folder of seeds; None if it is no such."""
    try:
        found = json.loads(Path(folder, MANIFEST).read_text('utf-8'))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get('format') == FORMAT else None


def read_seed(path: PathLike, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read one file of a :class:`CamStore`.

    Args:
        path: The file.
        num_classes: Number of classes, background included.

    Returns:
        Classes (K,) int64 and maps (K, H, W) float32.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is damaged, or no seed.
    """
    remedy = (
        'delete it, and make it again with tools/make_cams.py and the checkpoint and '
        'settings of the others'
    )
    try:
        with np.load(path) as file:
            classes, cam = file['classes'], file['cam']
    except FileNotFoundError as error:
        raise FileNotFoundError(f'the seed {path} does not exist: {remedy}') from error
    except DAMAGED as error:
        raise ValueError(f'the seed {path} cannot be read: {remedy}') from error
    problem = _problem(classes, cam, num_classes)
    if problem:
        raise ValueError(f'the seed {path} has {problem}: {remedy}')
    return classes.astype(np.int64), cam.astype(np.float32)


def _problem(classes: np.ndarray, cam: np.ndarray, num_classes: int) -> str | None:
    """Say what is wrong with the classes (K,) and maps (K, H, W) of a seed."""
    if cam.ndim != 3 or classes.shape != cam.shape[:1]:
        return f'classes of shape {classes.shape} and maps of shape {cam.shape}'
    if not len(classes):
        return None
    wrong = classes[(classes < 1) | (classes >= num_classes)]
    if classes.dtype.kind not in 'ui' or len(wrong):
        return f'the classes {classes.tolist()}, outside of 1 to {num_classes - 1}'
    if len(set(classes.tolist())) < len(classes):
        return f'the classes {classes.tolist()}, one of them twice'
    return None
