"""Whole trainings of a tiny U2PL through tools/train.py, in processes of their own."""

import copy
import importlib.util
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# look whether a child has ended, and leave its status to be collected
WATCH = os.WEXITED | os.WNOHANG | os.WNOWAIT
ENVIRONMENT = {
    'OMP_NUM_THREADS': '1',
    'PYTHONPATH': f'{ROOT}{os.pathsep}{HERE}',
    'PYTHON': sys.executable,
}


@pytest.fixture
def write_config(tiny_images, tiny_dataloader, tiny_segmentor, tmp_path) -> Callable:
    """Return ``write(method, **changes)``: the path of a config of 12 steps."""
    tiny_segmentor['decode_head']['dropout_ratio'] = 0.1

    def write(method: str = 'U2PL', **changes) -> Path:
        (tmp_path / 'log').mkdir(exist_ok=True)
        loader = copy.deepcopy(tiny_dataloader)
        for part in ('labeled', 'unlabeled'):
            log = dict(type='LogSample', folder=str(tmp_path / 'log'))
            loader['dataset'][part]['pipeline'].insert(-1, log)
        hooks = [dict(type='ExactResumeHook'), dict(type='Probe')]
        model = dict(type=method, segmentor=tiny_segmentor)
        if method == 'supervised':
            model = tiny_segmentor
            del loader['dataset']['unlabeled']
            loader['dataset']['labeled']['pipeline'][-1:] = [dict(type='PackSegInputs')]
            del loader['collate_fn']
            loader['sampler']['num_per_source'] = dict(labeled=4)
        elif method in ('U2PL', 'MeanTeacher'):
            hooks += [dict(type='SetIterHook'), dict(type='MeanTeacherHook')]
        elif method == 'UniMatch':
            views = loader['dataset']['unlabeled']['pipeline'][-1]
            views['unsup_student2'] = views['unsup_student']
        if method == 'U2PL':
            model |= dict(low_rank=1, high_rank=4, num_anchors=8, num_negatives=16)
            model |= dict(bank_size=300, bank_size_first=400, rep_channels=8)
        val = dict(
            type='BaseSegDataset',
            data_root=str(tiny_images),
            ann_file='labeled.txt',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            metainfo=loader['dataset']['labeled']['metainfo'],
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
        cfg = dict(
            default_scope='mmsemi',
            custom_imports=dict(imports=['probe']),
            model=model,
            train_dataloader=loader,
            val_dataloader=dict(
                num_workers=0, sampler=dict(type='DefaultSampler'), dataset=val
            ),
            val_evaluator=dict(type='IoUMetric'),
            val_cfg=dict(type='TeacherStudentValLoop'),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=12, val_interval=6),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)
            ),
            param_scheduler=[dict(type='PolyLR', by_epoch=False, end=12)],
            default_hooks=dict(
                checkpoint=dict(
                    type='AtomicCheckpointHook',
                    by_epoch=False,
                    interval=3,
                    max_keep_ckpts=1,
                    save_best='mIoU',
                ),
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            ),
            log_processor=dict(by_epoch=False),
            custom_hooks=hooks,
            randomness=dict(seed=0),
        )
        path = tmp_path / f'{method.lower()}.py'
        cfg = Config(cfg)
        cfg.merge_from_dict(changes)
        cfg.dump(str(path))
        return path

    return write


def _train_here(argv: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.path[:0] = ENVIRONMENT['PYTHONPATH'].split(os.pathsep)
    # threads of the parent do not survive the fork
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location('train', ROOT / 'tools/train.py')
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    train.main(argv)


@pytest.fixture
def fork_train(tmp_path) -> Callable[..., list[int]]:
    """Return ``train(*argv, ranks=1)``: tools/train.py in forks of this process.

    It starts at once, since all is imported. With ``kill_when`` all are killed as
    soon as it returns True. Returns the exit status of each rank, -9 if it was killed.
    """

    def train(
        *argv: object,
        ranks: int = 1,
        port: int = 0,
        kill_when: Callable[[], bool] | None = None,
    ) -> list[int]:
        children = []
        words = [str(word) for word in argv]
        words += ['--launcher', 'pytorch'] if ranks > 1 else []
        for rank in range(ranks):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    os.setsid()
                    # not into pytest's capture
                    out = open(tmp_path / f'out_{rank}.txt', 'w', buffering=1)
                    sys.stdout = sys.stderr = out
                    environment = dict(
                        RANK=str(rank),
                        LOCAL_RANK=str(rank),
                        WORLD_SIZE=str(ranks),
                        MASTER_ADDR='127.0.0.1',
                        MASTER_PORT=str(port),
                    )
                    _train_here(words, environment if ranks > 1 else {})
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            children.append(child)
        while kill_when and os.waitid(os.P_PID, children[0], WATCH) is None:
            if kill_when():
                for child in children:
                    os.killpg(child, signal.SIGKILL)
                break
            time.sleep(0.001)
        ends = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
        for rank, end in enumerate(ends):
            if end > 0:
                pytest.fail((tmp_path / f'out_{rank}.txt').read_text()[-3000:])
        return ends

    return train


@pytest.fixture
def command() -> Callable[..., int]:
    """Return ``run(*argv, **environment)``: a command in a session of its own."""

    def run(*argv: object, **environment: str) -> int:
        process = subprocess.run(
            [str(word) for word in argv],
            env=os.environ | ENVIRONMENT | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        if process.returncode > 0:
            pytest.fail((process.stdout + process.stderr)[-3000:])
        return process.returncode

    return run


@pytest.fixture
def assert_equal() -> Callable[[object, object], None]:
    """Return a comparison of nested containers, tensors bit for bit."""

    def check(one: object, other: object, path: str = '') -> None:
        assert type(one) is type(other), path
        if isinstance(one, dict):
            assert one.keys() == other.keys(), path
            for key, value in one.items():
                check(value, other[key], f'{path}.{key}')
        elif isinstance(one, (list, tuple)):
            assert len(one) == len(other), path
            for i, (a, b) in enumerate(zip(one, other, strict=True)):
                check(a, b, f'{path}.{i}')
        elif isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype and torch.equal(one, other), path
        else:
            assert one == other, path

    return check
