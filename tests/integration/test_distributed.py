"""Two processes on the CPU: the same networks on both, the data of one process."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def check_reports(folder: Path, steps: int) -> None:
    """Check that both ranks have the same networks and bank after training."""
    one, other = (
        json.loads((folder / f'report_{rank}.json').read_text()) for rank in (0, 1)
    )
    assert one['hashes'] == other['hashes']
    assert len(set(one['hashes'].values())) == 3
    assert one['filled'] > 0
    assert one['model_wrapper'] == 'SemiDistributedDataParallel'
    assert len(one['losses']) == steps
    # each rank has its own half of the batch
    assert one['losses'] != other['losses']


def by_step(log: Path, rank: int, batch: int) -> list[list[str]]:
    lines = (log / f'samples_{rank}.txt').read_text().splitlines()
    return [lines[i : i + batch] for i in range(0, len(lines), batch)]


def check_stream(folder: Path, ranks: Path, one: Path, steps: int) -> None:
    """Check that the ranks' slices, source by source, make up the one process's batch.

    Two ranks with 1 + 1 images, one process with 2 + 2.
    """
    whole = by_step(one, 0, 4)
    slices = [by_step(ranks, rank, 2) for rank in (0, 1)]
    assert len(whole) == len(slices[0]) == len(slices[1]) == steps
    for step, batch in enumerate(whole):
        labeled, unlabeled = zip(slices[0][step], slices[1][step], strict=True)
        assert batch == [*labeled, *unlabeled]


HALF = [
    'train_dataloader.batch_size=2',
    'train_dataloader.sampler.num_per_source.labeled=1',
    'train_dataloader.sampler.num_per_source.unlabeled=1',
]


def test_two_ranks(fork_train, write_config, tmp_path):
    config = write_config()
    short = ['train_cfg.max_iters=4', 'train_cfg.val_interval=2']
    fork_train(
        *(config, '--work-dir', tmp_path / 'two', '--cfg-options', *short, *HALF),
        ranks=2,
        port=free_port(),
    )
    check_reports(tmp_path / 'two', 4)
    assert (tmp_path / 'two/iter_4.pth').exists()
    (tmp_path / 'log').rename(tmp_path / 'log_two')
    (tmp_path / 'log').mkdir()
    fork_train(config, '--work-dir', tmp_path / 'one', '--cfg-options', *short)
    check_stream(tmp_path, tmp_path / 'log_two', tmp_path / 'log', 4)


@pytest.mark.slow
def test_dist_train_script(command, write_config, tmp_path):
    config = write_config()
    steps = ['train_cfg.max_iters=20', 'train_cfg.val_interval=10']
    options = '--work-dir', tmp_path / 'two', '--cfg-options', *steps, *HALF
    command(TOOLS / 'dist_train.sh', config, 2, *options)
    check_reports(tmp_path / 'two', 20)


def stub(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/bash\n{body}\n')
    path.chmod(0o755)


@pytest.fixture
def dry(tmp_path):
    """Return ``run(script, *words, **environment)``: what it would start."""
    stub(tmp_path, 'python', 'echo python "$@"')
    stub(tmp_path, 'scontrol', 'echo node7; echo node8')
    # every second node's task of srun, as Slurm would start it
    stub(
        tmp_path,
        'srun',
        'echo srun "$@" | tr "\\n" " "; echo\n'
        'while [[ $1 != bash ]]; do shift; done\n'
        'SLURM_NODEID=1 SLURM_JOB_NODELIST=node[7-8] exec "$@"',
    )

    def run(script, *words, **environment):
        return subprocess.run(
            ['bash', TOOLS / script, *words],
            env=dict(PATH=f'{tmp_path}:{os.environ["PATH"]}') | environment,
            capture_output=True,
            text=True,
        )

    return run


def test_dist_train_takes_a_free_port_on_one_machine(dry):
    out = dry('dist_train.sh', 'c.py', '3', '--amp').stdout.split()
    assert out[:5] == 'python -m torch.distributed.run --nproc_per_node 3'.split()
    assert out[5] == '--standalone'
    assert Path(out[6]).resolve() == TOOLS / 'train.py'
    assert out[7:] == ['c.py', '--launcher', 'pytorch', '--amp']


def test_dist_test_on_several_machines(dry):
    where = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='node7', PORT='1234')
    out = dry('dist_test.sh', 'c.py', 'c.pth', '8', **where).stdout
    assert '--nnodes 2 --node_rank 1 --master_addr node7 --master_port 1234' in out
    assert out.endswith('tools/test.py c.py c.pth --launcher pytorch\n')


def test_slurm_starts_dist_train_on_each_node(dry):
    out = dry('slurm_train.sh', 'gpu', 'job', 'c.py', '--resume', GPUS='16').stdout
    srun, started = out.splitlines()[0], out.splitlines()[-1]
    assert '--partition gpu --job-name job --nodes 2 --ntasks 2' in srun
    assert '--gres gpu:8 --cpus-per-task 40' in srun
    assert '--nproc_per_node 8 --nnodes 2 --node_rank 1' in started
    assert '--master_addr node7 --master_port 29500' in started
    assert started.endswith('tools/train.py c.py --launcher pytorch --resume')


@pytest.mark.parametrize(
    ('script', 'usage'),
    [
        ('dist_train.sh', 'CONFIG PROCESSES'),
        ('dist_test.sh', 'CONFIG CHECKPOINT PROCESSES'),
        ('slurm_train.sh', 'PARTITION JOB_NAME CONFIG'),
    ],
)
def test_usage(dry, script, usage):
    done = dry(script, 'c.py')
    assert done.returncode == 2 and usage in done.stderr
