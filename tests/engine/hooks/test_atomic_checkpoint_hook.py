import errno
import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import find_latest_checkpoint

from mmsemi.engine import AtomicCheckpointHook, ExactResumeHook

# The best is found at step 4; 2 and 6 are no improvement after it, 7 is.
SCORES = {2: 0.1, 4: 0.5, 6: 0.3, 7: 0.6}
MOMENTS = 100
"""More than a run has moments."""


@pytest.fixture
def train(toy_runner, toy_validation):
    """Return ``train(folder, resume)``: 7 steps, a checkpoint each 3rd, the best."""

    def run(folder: Path, resume: bool = False, **options) -> dict:
        hook = dict(
            type='AtomicCheckpointHook',
            by_epoch=False,
            interval=3,
            max_keep_ckpts=1,
            save_best='mIoU',
        )
        path = find_latest_checkpoint(str(folder)) if resume else None
        runner = toy_runner(
            work_dir=str(folder),
            custom_hooks=[ExactResumeHook()],
            default_hooks=dict(checkpoint=hook | options),
            resume=path is not None,
            load_from=path,
            **toy_validation(SCORES),
        )
        runner.train()
        return runner.model.state_dict()

    return run


def files(folder: Path) -> set[str]:
    """Return the names of all but the config's copies."""
    return {p.name for p in folder.iterdir() if p.is_file() and p.suffix != '.py'}


def load(path: Path) -> dict:
    return torch.load(path, map_location='cpu', weights_only=False)


def die_at(moment: int) -> None:
    """Let this process be killed at its n-th operation on files."""
    count = 0

    def counted(function, before=lambda *args: None):
        def wrapper(*args, **kwargs):
            nonlocal count
            count += 1
            if count == moment:
                before(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapper

    def write_half(self, data, path):
        Path(path).write_bytes(data[: len(data) // 2])

    LocalBackend.put = counted(LocalBackend.put, write_half)
    LocalBackend.remove = counted(LocalBackend.remove)
    Path.unlink = counted(Path.unlink)
    Path.write_text = counted(Path.write_text)
    os.replace = counted(os.replace)
    os.fsync = counted(os.fsync)


def killed_run(train, folder: Path, moment: int) -> bool:
    """Train in a child that is killed at a moment; False if it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            die_at(moment)
            train(folder)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def check_killed_at(moments, train, tmp_path) -> int:
    """Kill a run at each moment, look at its files, resume it; count the kills."""
    whole = train(tmp_path / 'whole')
    expected = files(tmp_path / 'whole')
    kills = 0
    for moment in moments:
        folder = tmp_path / f'killed_{moment}'
        if not killed_run(train, folder, moment):
            break
        kills += 1
        for path in folder.glob('*.pth'):
            assert 'meta' in load(path)
        if (folder / 'last_checkpoint').exists():
            assert 'optimizer' in load(Path((folder / 'last_checkpoint').read_text()))
        resumed = train(folder, resume=True)
        assert all(torch.equal(resumed[k], v) for k, v in whole.items()), moment
        assert files(folder) == expected, moment
    return kills


def test_run_left_alone(train, tmp_path):
    train(tmp_path)
    assert files(tmp_path) == {
        'iter_7.pth',
        'best_mIoU_iter_7.pth',
        'last_checkpoint',
        'validated.json',
    }
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_7.pth')
    last = load(tmp_path / 'iter_7.pth')
    assert last['message_hub']['runtime_info']['best_score'] == SCORES[7]
    best = load(tmp_path / 'best_mIoU_iter_7.pth')
    assert best['meta']['iter'] == 7 and 'optimizer' not in best


def test_killed_now_and_then(train, tmp_path):
    assert check_killed_at(range(3, MOMENTS, 12), train, tmp_path) >= 3


@pytest.mark.slow
def test_killed_at_every_moment(train, tmp_path):
    assert 20 <= check_killed_at(range(1, MOMENTS), train, tmp_path) < MOMENTS - 1


def test_failed_write_leaves_the_former_checkpoint(train, tmp_path, monkeypatch):
    put = LocalBackend.put

    def full_disk(self, data, path):
        if 'iter_6' in str(path):
            put(self, data[:100], path)
            raise OSError(errno.ENOSPC, 'no space left on device')
        put(self, data, path)

    monkeypatch.setattr(LocalBackend, 'put', full_disk)
    with pytest.raises(OSError, match=r'iter_6\S* could not be .*no space left.*free'):
        train(tmp_path)
    # the best of step 4 has saved the state again, with what it knows of the best
    assert load(tmp_path / 'iter_4.pth')['meta']['iter'] == 4
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')
    assert not [name for name in files(tmp_path) if name.endswith('.tmp')]


def test_keeps_as_many_as_asked(train, tmp_path):
    train(tmp_path, max_keep_ckpts=2, save_best=None, interval=2)
    assert {f for f in files(tmp_path) if f.startswith('iter')} == {
        'iter_6.pth',
        'iter_7.pth',
    }


def test_keeps_all_by_default(train, tmp_path):
    train(tmp_path, max_keep_ckpts=-1, save_best=None, interval=3)
    assert {f for f in files(tmp_path) if f.startswith('iter')} == {
        'iter_3.pth',
        'iter_6.pth',
        'iter_7.pth',
    }


@pytest.mark.parametrize(
    ('shares', 'kept'),
    [
        (dict(interval=0.4), {3, 6, 7}),
        (dict(interval=0.01), {1, 2, 3, 4, 5, 6, 7}),
        (dict(interval=0.3, save_begin=0.6), {4, 6, 7}),
    ],
)
def test_shares_of_the_training(train, tmp_path, shares, kept):
    train(tmp_path, max_keep_ckpts=-1, save_best=None, **shares)
    assert {f for f in files(tmp_path) if f.startswith('iter')} == {
        f'iter_{step}.pth' for step in kept
    }


def test_best_of_an_unknown_network(toy_runner, toy_validation, monkeypatch):
    def build(key: str):
        hook = dict(type='AtomicCheckpointHook', by_epoch=False, save_best=key)
        runner = toy_runner(
            default_hooks=dict(checkpoint=hook), **toy_validation(SCORES)
        )
        networks = dict(student=runner.model, teacher=runner.model)
        monkeypatch.setattr(runner.model, 'networks', lambda: networks, raising=False)
        return runner

    match = r"save_best='techer/mIoU': 'techer' is no network of .*'student', 'teacher'"
    with pytest.raises(ValueError, match=match):
        build('techer/mIoU').train()
    for key in ('teacher/mIoU', 'mIoU'):
        runner = build(key)
        runner.val_loop.evaluator.metrics = []
        for hook in runner.hooks:
            if isinstance(hook, AtomicCheckpointHook):
                hook._check_save_best(runner)
