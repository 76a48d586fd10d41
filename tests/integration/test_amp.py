import json
import math

import pytest
import torch

SHORT = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4']


@pytest.fixture
def report(fork_train, write_config, tmp_path):
    def run(*argv, name='run'):
        folder = tmp_path / name
        fork_train(write_config(), '--work-dir', folder, *argv)
        return json.loads((folder / 'report_0.json').read_text())

    return run


@pytest.mark.skipif(torch.cuda.is_available(), reason='float16 is used on a GPU')
def test_amp_is_bfloat16_on_the_cpu(report, tmp_path):
    plain = report('--cfg-options', *SHORT, name='plain')
    assert plain['optim_wrapper'] == 'OptimWrapper'
    amp = report('--amp', '--cfg-options', *SHORT)
    assert amp['optim_wrapper'] == 'CPUAmpOptimWrapper'
    assert all(map(math.isfinite, amp['losses']))
    # the same first step, but for the rounding of 8 bits
    assert amp['losses'][0] != plain['losses'][0]
    assert amp['losses'][0] == pytest.approx(plain['losses'][0], rel=0.05)
    state = torch.load(tmp_path / 'run/iter_4.pth', weights_only=False)['state_dict']
    assert state['student.decode_head.conv_seg.weight'].dtype == torch.float32


def test_gradient_accumulation(report):
    interval = 'default_hooks.checkpoint.interval=4'
    options = [*SHORT, interval, 'optim_wrapper.accumulative_counts=2']
    found = report('--cfg-options', *options)
    assert found['accumulative_counts'] == 2
    assert len(found['losses']) == 4 and all(map(math.isfinite, found['losses']))
