"""A folder of pseudo-labels that is whole at every moment and says what it holds."""

import io
import json
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process
from PIL import Image

from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.atomic import PathLike

from .pseudo_label_folder import (
    FORMAT,
    MANIFEST,
    check_label_folder,
    read_manifest,
    remove_asides,
    write_whole,
)

COMPARED = ('sha256', 'settings', 'classes', 'images')
"""What makes labels others; paths and names may change."""
VOID_COLOUR = (224, 224, 192)


class PseudoLabelStore:
    """Pseudo-labels of one model, as palette PNGs ``<folder>/<id>.png``.

    Each file is written aside and renamed when it is whole, by threads that the
    labelling does not wait for. ``manifest.json`` says which weights made the
    labels, how, and, when all are there, how many pixels each class has. Opening
    the folder again with the same manifest goes on where it was cut; any other
    content is refused, so that neither a ground truth nor the labels of another
    model are overwritten or mixed in. On several ranks all must open it together:
    rank 0 looks at the disk, and all raise its error.

    Args:
        folder: Where the labels go; it is made.
        manifest: What the labels are made of. ``sha256`` (of the weights),
            ``settings``, ``classes`` and ``images`` are compared with a manifest
            that is there; the other entries are for the reader.
        palette: RGB colour of each class.
        soft: Also keep the probabilities, in half precision, as array ``prob``
            (C, H, W) of ``<folder>/soft/<id>.npz``. Defaults to False.
        overwrite: Delete the labels of another manifest, instead of refusing
            them. Defaults to False.
        num_threads: Threads that encode and write. Defaults to 2.

    Raises:
        ValueError: The folder holds files of another origin, or labels of another
            model, settings or list.
        OSError: The folder cannot be written.
    """

    def __init__(
        self,
        folder: PathLike,
        manifest: dict[str, Any],
        palette: Sequence[Sequence[int]],
        *,
        soft: bool = False,
        overwrite: bool = False,
        num_threads: int = 2,
    ) -> None:
        self.folder = Path(folder)
        # as it is read back, so that the two can be compared
        self.manifest = json.loads(json.dumps(dict(format=FORMAT) | manifest))
        self.soft = soft
        colours = np.zeros((256, 3), dtype=np.uint8)
        colours[: len(palette)] = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
        colours[255] = VOID_COLOUR
        self._palette = colours.ravel().tolist()
        self._num_threads = num_threads
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future] = deque()
        outcome: list[Exception | None] = [None]
        if is_main_process():
            try:
                self._open(overwrite)
            except (OSError, ValueError) as error:
                outcome[0] = error
        broadcast_object_list(outcome)
        if outcome[0] is not None:
            raise outcome[0]

    def path(self, name: str) -> Path:
        """Return where the label of an image goes."""
        return self.folder / f'{name}.png'

    def soft_path(self, name: str) -> Path:
        """Return where the probabilities of an image go."""
        return self.folder / 'soft' / f'{name}.npz'

    def has(self, name: str) -> bool:
        """Say whether an image is labelled."""
        return self.path(name).is_file() and (
            not self.soft or self.soft_path(name).is_file()
        )

    def read(self, name: str) -> np.ndarray | None:
        """Return a label (H, W); None where there is none, or a damaged one."""
        if not self.has(name):
            return None
        try:
            return read_label_map(self.path(name))
        except ValueError:
            return None

    def write(self, name: str, label: np.ndarray, prob: np.ndarray | None) -> None:
        """Hand a label to the threads; waits while they are far behind.

        Args:
            name: The image's id; it may name subfolders.
            label: (H, W) uint8, 255 where there is none.
            prob: (C, H, W) probabilities; needed if the store is soft.

        Raises:
            OSError: An earlier file could not be written.
        """
        if self._pool is None:
            raise RuntimeError('write labels inside `with store:`')
        while len(self._pending) >= 4 * self._num_threads:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._save, name, label, prob))

    def __enter__(self) -> 'PseudoLabelStore':
        self._pool = ThreadPoolExecutor(self._num_threads, 'pseudo-labels')
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        pool, self._pool = self._pool, None
        assert pool is not None
        try:
            while self._pending and kind is None:
                self._pending.popleft().result()
        finally:
            # after an error, what was handed over is still written
            pool.shutdown(wait=True)
            self._pending.clear()

    def finish(self, **results: Any) -> None:
        """Note in the manifest that all labels are there, and what they are."""
        if is_main_process():
            self._note(finished=True, **results)

    def _save(self, name: str, label: np.ndarray, prob: np.ndarray | None) -> None:
        """Write the probabilities first: where the PNG is, all is."""
        if self.soft:
            assert prob is not None
            buffer = io.BytesIO()
            np.savez_compressed(buffer, prob=prob.astype(np.float16))
            write_whole(self.soft_path(name), buffer.getvalue())
        image = Image.fromarray(label)
        image.putpalette(self._palette)
        buffer = io.BytesIO()
        image.save(buffer, 'PNG')
        write_whole(self.path(name), buffer.getvalue())

    def _note(self, **results: Any) -> None:
        text = json.dumps(self.manifest | results, indent=1, ensure_ascii=False)
        write_whole(self.folder / MANIFEST, (text + '\n').encode())

    def _open(self, overwrite: bool) -> None:
        """Look at what is there, and note what will be."""
        check_label_folder(self.folder)
        remove_asides(self.folder)
        known = read_manifest(self.folder)
        if known is not None:
            changed = [k for k in COMPARED if known.get(k) != self.manifest.get(k)]
            if not changed:
                return
            if not overwrite:
                raise ValueError(
                    f'{self.folder} holds labels of other {changed[0]} '
                    f'({_difference(known, self.manifest, changed[0])}): choose an '
                    'empty folder, or pass overwrite (--overwrite) to delete them'
                )
            self._remove_labels()
        self._note(finished=False)

    def _remove_labels(self) -> None:
        """Delete the labels; the manifest goes last, for they are known by it."""
        for pattern in ('**/*.png', 'soft/**/*.npz'):
            for path in self.folder.glob(pattern):
                path.unlink()


def _difference(known: dict, wanted: dict, key: str) -> str:
    """Say in a few words how two manifests differ."""
    one, other = known.get(key), wanted.get(key)
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted(one.keys() | other.keys())
        name = next(n for n in names if one.get(n) != other.get(n))
        one, other, key = one.get(name), other.get(name), name
    return f'{key} {str(one)[:60]}, now {str(other)[:60]}'
