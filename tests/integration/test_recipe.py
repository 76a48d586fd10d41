"""A recipe of three stages through tools/train.py: left alone, killed and resumed."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

NAMES = ('first', 'second', 'third')
HALF = (
    'train_dataloader.batch_size=2',
    'train_dataloader.sampler.num_per_source.labeled=2',
)


@pytest.fixture
def recipe(write_config, tmp_path) -> Path:
    """Write three trainings of six steps; each starts from one before it."""
    changes = {'train_cfg.max_iters': 6, 'train_cfg.val_interval': 3}
    changes |= {'param_scheduler.0.end': 6}
    config = write_config('supervised', **changes).name
    stages = dict(
        first={},
        second=dict(load_from='{first.last}'),
        third=dict(
            load_from='{second.best}', optim_wrapper=dict(optimizer=dict(lr=1e-4))
        ),
    )
    path = tmp_path / 'recipe.py'
    path.write_text(f"_base_ = './{config}'\nstages = {stages!r}\n")
    return path


def last(folder: Path) -> dict:
    state = torch.load(folder / 'iter_6.pth', map_location='cpu', weights_only=False)
    return {k: state[k] for k in ('state_dict', 'optimizer', 'param_schedulers')}


def check_equal(one: Path, other: Path, assert_equal) -> None:
    for name in NAMES:
        assert_equal(last(one / name), last(other / name))
        notes = [(f / name / 'done.json').read_text() for f in (one, other)]
        assert notes[0] == notes[1]


@pytest.mark.parametrize(
    'killed',
    [
        'second',
        pytest.param('first', marks=pytest.mark.slow),
        pytest.param('third', marks=pytest.mark.slow),
    ],
)
def test_kill_and_resume(fork_train, recipe, tmp_path, assert_equal, killed):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert fork_train(recipe, '--work-dir', whole) == [0]
    for name in NAMES:
        # each Runner logs into its own folder
        (scalars,) = (whole / name).glob('*/vis_data/scalars.json')
        steps = [json.loads(line).get('iter') for line in scalars.open()]
        assert [step for step in steps if step] == [1, 2, 3, 4, 5, 6]
        note = json.loads((whole / name / 'done.json').read_text())
        assert note['iteration'] == 6

    saved = cut / killed / 'iter_3.pth'
    assert fork_train(recipe, '--work-dir', cut, kill_when=saved.exists) == [-9]
    done = [name for name in NAMES if (cut / name / 'done.json').exists()]
    assert done == list(NAMES[: NAMES.index(killed)])
    times = [(cut / name / 'done.json').stat().st_mtime_ns for name in done]
    (tmp_path / 'cut').rename(tmp_path / 'moved')
    cut = tmp_path / 'moved'
    assert fork_train(recipe, '--work-dir', cut, '--resume') == [0]
    assert times == [(cut / name / 'done.json').stat().st_mtime_ns for name in done]
    check_equal(cut, whole, assert_equal)
    # three trainings, not three times the same
    keys = [last(whole / name)['state_dict'] for name in NAMES]
    weight = 'decode_head.conv_seg.weight'
    assert not torch.equal(keys[0][weight], keys[1][weight])
    assert not torch.equal(keys[1][weight], keys[2][weight])


@pytest.mark.slow
def test_two_ranks(fork_train, recipe, tmp_path, assert_equal):
    """They train as one; a stage cut after its last step, and the next, go on."""
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    options = '--amp', '--cfg-options', *HALF

    def train(*words: object) -> list[int]:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        return fork_train(recipe, *words, *options, ranks=2, port=port)

    assert train('--work-dir', whole) == [0, 0]
    for name in NAMES:
        one, other = (
            json.loads((whole / name / f'report_{rank}.json').read_text())
            for rank in (0, 1)
        )
        assert one['model_wrapper'] == 'SemiDistributedDataParallel'
        assert one['optim_wrapper'] == 'CPUAmpOptimWrapper'
        assert one['losses'] != other['losses']
    shutil.copytree(whole, cut)
    (cut / 'second/done.json').unlink()
    shutil.rmtree(cut / 'third')
    assert train('--work-dir', cut, '--resume') == [0, 0]
    check_equal(cut, whole, assert_equal)
