"""Checkpoints that are whole at every moment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmsemi.registry import HOOKS


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, safe against a kill while it writes.

    A checkpoint is written beside its name and renamed when it is whole;
    older checkpoints are deleted after that, not before; ``last_checkpoint``
    is replaced in one piece. The arguments are those of ``CheckpointHook``.
    Storages other than the local disk are written as mmengine writes them.
    """

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._whole_files(runner):
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._whole_files(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _whole_files(self, runner: Runner) -> Iterator[None]:
        """Let saves inside the block be renamed into place, deletions wait."""
        backend = self.file_backend
        nested = isinstance(backend, _WaitingBackend)
        if nested or not isinstance(backend, LocalBackend):
            yield
            return
        self.file_backend = _WaitingBackend(backend)
        save = runner.save_checkpoint

        def save_whole(out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
            save(out_dir, filename + '.tmp', *args, **kwargs)
            if is_main_process():
                path = os.path.join(out_dir, filename)
                os.replace(path + '.tmp', path)
                _replace_text(
                    os.path.join(runner.work_dir, 'last_checkpoint'), self.last_ckpt
                )

        runner.save_checkpoint = save_whole
        try:
            yield
            for path in self.file_backend.waiting:
                backend.remove(path)
        finally:
            del runner.save_checkpoint
            self.file_backend = backend


class _WaitingBackend:
    """A file backend that notes what it should remove."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self.waiting: list[str] = []

    def remove(self, path: str) -> None:
        self.waiting.append(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def _replace_text(path: str, text: str | None) -> None:
    if text:
        with open(path + '.tmp', 'w', encoding='utf-8') as file:
            file.write(text)
        os.replace(path + '.tmp', path)
