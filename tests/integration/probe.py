"""What the trainings of these tests report and suffer; imported by their configs."""

import hashlib
import json
import os
import random
import signal
import threading
import zlib
from pathlib import Path

from mmcv.transforms import BaseTransform
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS
from mmengine.runner import Runner

NETWORKS = ('student', 'teacher', 'memory_bank')


@TRANSFORMS.register_module()
class LogSample(BaseTransform):
    """Append each sample that is loaded, and its pixels' checksum, to a file."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def transform(self, results: dict) -> dict:
        line = (
            f'{Path(results["img_path"]).stem} {zlib.crc32(results["img"].tobytes())}'
        )
        rank = os.environ.get('RANK', '0')
        with open(Path(self.folder, f'samples_{rank}.txt'), 'a') as file:
            file.write(line + '\n')
        return results


@HOOKS.register_module()
class Probe(Hook):
    """Write what a run was, and kill its processes at an arbitrary moment of a step.

    They are killed once: the same config goes on after that.

    Args:
        kill_at: The step.
    """

    priority = 'LOWEST'

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.losses: list[float] = []

    def before_train(self, runner: Runner):
        mark = Path(runner.work_dir, f'killed_{get_rank()}')
        if self.kill_at is not None and mark.exists():
            self.kill_at = None
        elif self.kill_at is not None:
            mark.touch()

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None):
        if runner.iter == self.kill_at:
            delay = random.SystemRandom().uniform(0, 0.05)
            kill = os.killpg, (os.getpgid(0), signal.SIGKILL)
            threading.Timer(delay, *kill).start()

    def after_train_iter(
        self, runner: Runner, batch_idx, data_batch=None, outputs=None
    ):
        self.losses.append(float(outputs['loss']))
        if runner.iter == self.kill_at:
            threading.Event().wait()

    def after_train(self, runner: Runner):
        model = getattr(runner.model, 'module', runner.model)
        state = model.state_dict()
        hashes = {}
        for name in NETWORKS:
            digest = hashlib.sha256()
            for key, value in state.items():
                if key.startswith(name + '.'):
                    digest.update(value.cpu().numpy().tobytes())
            hashes[name] = digest.hexdigest()
        report = dict(
            hashes=hashes,
            losses=self.losses,
            optim_wrapper=type(runner.optim_wrapper).__name__,
            accumulative_counts=runner.optim_wrapper._accumulative_counts,
            model_wrapper=type(runner.model).__name__,
            filled=int(model.memory_bank.count.sum())
            if hasattr(model, 'memory_bank')
            else None,
        )
        path = Path(runner.work_dir, f'report_{get_rank()}.json')
        path.write_text(json.dumps(report))
