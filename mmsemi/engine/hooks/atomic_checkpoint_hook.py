"""Checkpoints that are whole at every moment."""

import errno
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmsemi.models.utils.lengths import steps
from mmsemi.registry import HOOKS

ASIDE = '.tmp'
"""Suffix of a file that is being written."""


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, safe against a kill while it writes.

    A checkpoint is written beside its name and renamed when it is whole; the
    checkpoints it replaces (the oldest, the former best) are deleted after
    that, not before; ``last_checkpoint`` is replaced in one piece. What a kill
    leaves behind, a ``.tmp`` file or a checkpoint too many, is deleted when
    the run is resumed. The arguments are those of ``CheckpointHook``, and
    ``interval`` and ``save_begin`` may be shares of the training. Storages
    other than the local disk are written as mmengine writes them.
    """

    file_backend: Any
    interval: float
    keep_ckpt_ids: deque
    save_begin: float

    def before_train(self, runner: Runner) -> None:
        """Delete what a kill has left, and find the checkpoint resumed from."""
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.interval > 0:
            self.interval = max(1, steps(self.interval, total, 'interval'))
        self.save_begin = steps(self.save_begin, total, 'save_begin')
        super().before_train(runner)
        self._check_save_best(runner)
        self._is_local = isinstance(self.file_backend, LocalBackend)
        if not self._is_local:
            return
        if is_main_process():
            for path in Path(self.out_dir).glob(f'*.pth{ASIDE}'):
                path.unlink(missing_ok=True)
        # A validation that is made up for may find a new best, which the last
        # checkpoint has to know of; mmengine knows only those it has written.
        step = runner.epoch if self.by_epoch else runner.iter
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        if step > 0 and path.is_file():
            self.last_ckpt = str(path)

    def _check_save_best(self, runner: Runner) -> None:
        """Refuse a metric of a network that is none, before the first validation."""
        model = getattr(runner.model, 'module', runner.model)
        networks = list(getattr(model, 'networks', dict)())
        if runner.val_loop is None or not networks:
            return
        evaluator = getattr(runner.val_loop, 'evaluator', None)
        known = {metric.prefix for metric in getattr(evaluator, 'metrics', [])}
        for key in self.save_best or []:
            prefix = key.split('/')[0]
            if '/' in key and prefix not in known | set(networks):
                raise ValueError(
                    f'save_best={key!r}: {prefix!r} is no network of '
                    f'{type(model).__name__}, choose from {networks}'
                )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write a checkpoint and point to it, then delete the oldest."""
        if not self._is_local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        steps: list[int] = []
        if self.max_keep_ckpts > 0:
            steps = [old for old in self.keep_ckpt_ids if old != step] + [step]
            # The oldest is listed until it is gone: mmengine deletes those in
            # excess on a resume.
            runner.message_hub.update_info('keep_ckpt_ids', steps)
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with self._whole_files(runner):
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        if is_main_process():
            _replace_text(
                os.path.join(runner.work_dir, 'last_checkpoint'), self.last_ckpt
            )
            for old in steps[: -self.max_keep_ckpts]:
                path = Path(self.out_dir, self.filename_tmpl.format(old))
                path.unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Write a new best, then delete the former."""
        if not self._is_local:
            super()._save_best_checkpoint(runner, metrics)
            return
        with self._whole_files(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _whole_files(self, runner: Runner) -> Iterator[None]:
        """Let saves inside the block be renamed into place, deletions wait for it."""
        if isinstance(self.file_backend, _WaitingBackend):
            yield
            return
        backend, save = self.file_backend, runner.save_checkpoint
        self.file_backend = waiting = _WaitingBackend(backend)

        def save_whole(out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
            path = os.path.join(out_dir, filename)
            try:
                save(out_dir, filename + ASIDE, *args, **kwargs)
                if is_main_process():
                    _rename_whole(path)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise OSError(
                    f'{path} could not be written ({error}): '
                    f'{"free space on its disk" if full else "correct this"} and '
                    'resume; checkpoints before it are whole'
                ) from error
            finally:
                if is_main_process():
                    Path(path + ASIDE).unlink(missing_ok=True)
            waiting.remove_noted(but=path)

        runner.save_checkpoint = save_whole
        try:
            yield
        finally:
            del runner.save_checkpoint
            self.file_backend = backend


class _WaitingBackend:
    """A file backend that notes what it should remove."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._noted: list[str] = []

    def remove(self, path: str) -> None:
        """Note a file."""
        self._noted.append(path)

    def remove_noted(self, but: str) -> None:
        """Remove the files noted, but not the one that was just written."""
        for path in self._noted:
            if not os.path.samefile(path, but):
                self._backend.remove(path)
        self._noted.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def _rename_whole(path: str) -> None:
    """Give a file written aside its name, when it is on the disk."""
    with open(path + ASIDE, 'rb') as file:
        os.fsync(file.fileno())
    os.replace(path + ASIDE, path)


def _replace_text(path: str, text: str) -> None:
    with open(path + ASIDE, 'w', encoding='utf-8') as file:
        file.write(text)
    _rename_whole(path)
