"""Several trainings at the same time, each a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .curves import read_scalars


def last_step(work_dir: Path) -> int:
    """Return the last step that a training has logged, 0 before the first."""
    try:
        return max(series[-1][0] for series in read_scalars(work_dir).values())
    except FileNotFoundError:
        return 0


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train_side_by_side(
    script: Path, configs: Sequence[Path], every: float = 15.0
) -> None:
    """Train all configs at once, each in the folder that is named after it.

    A training that was cut goes on. The cores are dealt out evenly; progress is
    printed. When one training fails, or the user interrupts, all are ended.

    Args:
        script: ``tools/train.py``.
        configs: Files; ``x/name.py`` is trained in ``x/name``.
        every: Seconds from one line of progress to the next.

    Raises:
        RuntimeError: A training failed; the end of its log is in the message.
    """
    threads = str(max(1, count_cores() // len(configs)))
    env = dict(os.environ, OMP_NUM_THREADS=threads, OMP_WAIT_POLICY='PASSIVE')
    running: dict[Path, subprocess.Popen] = {}
    try:
        for config in configs:
            folder = config.with_suffix('')
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, str(script), str(config)]
            command += ['--work-dir', str(folder), '--resume']
            with open(folder / 'console.log', 'w', encoding='utf-8') as log:
                running[folder] = subprocess.Popen(
                    command, env=env, stdout=log, stderr=subprocess.STDOUT
                )
        _watch(running, every)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
                process.wait()


def _watch(running: Mapping[Path, subprocess.Popen], every: float) -> None:
    """Print progress until all have ended well."""
    said = time.monotonic()
    while True:
        codes = {folder: process.poll() for folder, process in running.items()}
        for folder, code in codes.items():
            if code:
                raise RuntimeError(_failure(folder))
        if all(code == 0 for code in codes.values()):
            return
        if time.monotonic() - said >= every:
            said = time.monotonic()
            steps = [f'{folder.name} {last_step(folder)}' for folder in running]
            print('  steps: ' + ', '.join(steps), flush=True)
        time.sleep(0.2)


def _failure(folder: Path) -> str:
    log = folder / 'console.log'
    tail = '\n'.join(log.read_text('utf-8', 'replace').splitlines()[-12:])
    return f'the training {folder.name} failed, see {log}; its last lines:\n{tail}'
