"""A run that is killed and resumed ends with the bits of the run left alone."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import loops

TRAIN = Path(__file__).parents[2] / 'tools/train.py'
CAN_SKIP = hasattr(loops._InfiniteDataloaderIterator, 'skip_iter')


def last(folder: Path) -> dict:
    checkpoint = torch.load(
        folder / 'iter_12.pth', map_location='cpu', weights_only=False
    )
    return {k: checkpoint[k] for k in ('state_dict', 'optimizer', 'param_schedulers')}


def samples(folder: Path) -> list[str]:
    """Return the samples that were loaded since the last call."""
    path = folder / 'log/samples_0.txt'
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def kill_and_resume(train, config, tmp_path, kill_at: int, workers: int = 0) -> None:
    """Train to the end, and killed and resumed; check that no data was replayed."""
    options = [
        *('--cfg-options', f'train_dataloader.num_workers={workers}'),
        f'train_dataloader.persistent_workers={workers > 0}',
    ]
    assert train(config, '--work-dir', tmp_path / 'whole') in (0, [0])
    whole = samples(tmp_path)
    assert len(whole) == 12 * 4

    cut = [config, '--work-dir', tmp_path / 'cut']
    options.append(f'custom_hooks.1.kill_at={kill_at}')
    assert train(*cut, *options) in (-9, [-9])
    samples(tmp_path)
    assert not (tmp_path / 'cut/iter_12.pth').exists()

    assert train(*cut, '--resume', *options) in (0, [0])
    loaded = samples(tmp_path)
    start = kill_at // 3 * 3 if CAN_SKIP else 0
    if workers:
        # workers load in advance, in an order of their own
        assert set(whole[4 * start :]) <= set(loaded)
        assert len(loaded) <= 4 * (12 - start + 2 * workers)
    else:
        assert loaded == whole[4 * start :]


@pytest.mark.parametrize('kill_at', [7, pytest.param(11, marks=pytest.mark.slow)])
def test_u2pl(fork_train, write_config, tmp_path, assert_equal, kill_at):
    config = write_config()
    kill_and_resume(fork_train, config, tmp_path, kill_at)
    assert last(tmp_path / 'whole')['state_dict']['memory_bank.count'].sum() > 0
    assert_equal(last(tmp_path / 'cut'), last(tmp_path / 'whole'))


@pytest.mark.parametrize(
    ('method', 'changes'),
    [
        ('UniMatch', {'model.threshold': 0.3}),
        pytest.param('FixMatch', {'model.threshold': 0.3}, marks=pytest.mark.slow),
        pytest.param('CPS', {'model.cutmix': True}, marks=pytest.mark.slow),
    ],
)
def test_methods_without_a_teacher(
    fork_train, write_config, tmp_path, assert_equal, method, changes
):
    kill_and_resume(fork_train, write_config(method, **changes), tmp_path, 7)
    assert_equal(last(tmp_path / 'cut'), last(tmp_path / 'whole'))


@pytest.mark.slow
def test_cut_before_the_first_checkpoint(
    fork_train, write_config, tmp_path, assert_equal
):
    config = write_config()
    fork_train(config, '--work-dir', tmp_path / 'first')
    samples(tmp_path)
    options = f'load_from={tmp_path / "first/iter_12.pth"}'
    start = '--work-dir', tmp_path / 'whole', '--cfg-options', options
    fork_train(config, *start)
    cut = config, '--work-dir', tmp_path / 'cut'
    options = '--cfg-options', options, 'custom_hooks.1.kill_at=1'
    assert fork_train(*cut, *options) == [-9]
    fork_train(*cut, '--resume', *options)
    assert_equal(last(tmp_path / 'cut'), last(tmp_path / 'whole'))
    one, other = last(tmp_path / 'first'), last(tmp_path / 'whole')
    assert one['state_dict'].keys() == other['state_dict'].keys()
    key = 'student.decode_head.conv_seg.weight'
    assert not torch.equal(one['state_dict'][key], other['state_dict'][key])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('method', 'workers', 'threads', 'kill_at'),
    [
        ('U2PL', 2, 1, 8),
        ('U2PL', 0, 2, 5),
        ('MeanTeacher', 2, 1, 10),
        ('supervised', 2, 1, 4),
    ],
)
def test_in_processes_of_their_own(
    command, write_config, tmp_path, assert_equal, method, workers, threads, kill_at
):
    def train(*argv):
        return command(sys.executable, TRAIN, *argv, OMP_NUM_THREADS=str(threads))

    kill_and_resume(train, write_config(method), tmp_path, kill_at, workers)
    assert_equal(last(tmp_path / 'cut'), last(tmp_path / 'whole'))
