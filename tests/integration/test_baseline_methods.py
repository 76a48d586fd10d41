"""FixMatch, CPS and UniMatch on two processes, in half precision."""

import json
import math
import socket

import pytest
import torch

SHORT = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4']
CHANGES = {
    'UniMatch': {'model.threshold': 0.3},
    'FixMatch': {'model.threshold': 0.3},
    'CPS': {},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason='float16 is used on a GPU')
@pytest.mark.parametrize(
    'method',
    [
        'CPS',
        *(pytest.param(m, marks=pytest.mark.slow) for m in ('FixMatch', 'UniMatch')),
    ],
)
def test_two_ranks_with_amp(fork_train, write_config, tmp_path, method):
    """Both ranks end with the same networks; DDP finds a gradient for all of them."""
    config = write_config(method, **CHANGES[method])
    # 2 + 2 images each: batch norm of one image's pooled feature has no variance
    options = ['--amp', '--cfg-options', *SHORT]
    fork_train(config, '--work-dir', tmp_path, *options, ranks=2, port=free_port())
    one, other = (
        json.loads((tmp_path / f'report_{rank}.json').read_text()) for rank in (0, 1)
    )
    assert one['hashes'] == other['hashes']
    assert one['model_wrapper'] == 'SemiDistributedDataParallel'
    assert one['optim_wrapper'] == 'CPUAmpOptimWrapper'
    assert len(one['losses']) == 4 and one['losses'] != other['losses']
    assert all(map(math.isfinite, one['losses'] + other['losses']))
