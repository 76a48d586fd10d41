"""The table of docs/support.md is what was tried."""

import importlib
import json
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from mmsemi.apis.semi_config import METHODS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sweep(monkeypatch, default_scope):
    """Return the module, whose folder python puts first when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/analysis_tools'))
    yield importlib.import_module('sweep_models')
    for name in ('sweep_models', 'sweep_shrink', 'sweep_table'):
        sys.modules.pop(name, None)


def test_table(sweep):
    whole = dict.fromkeys(('alone', *sweep.SHOWN), '')
    rows = {'a': whole, 'b': dict(whole, u2pl='ValueError: x'), 'c': {'alone': 'E: y'}}
    head, *lines = sweep.table(rows).splitlines()
    assert head == '2 of 3 models train alone, 1 of these with each method.'
    assert lines[3:6] == [
        '| a | yes | yes | yes | yes | yes | yes |',
        '| b | yes | yes | yes | yes | yes | no |',
        '| c | no |  |  |  |  |  |',
    ]
    assert lines[-2:] == ['* b with U2PL: `ValueError: x`', '* c alone: `E: y`']
    assert set(sweep.SHOWN) <= set(METHODS)


def test_fork(sweep):
    assert sweep.in_fork(lambda: {'alone': ''}, 60) == {'alone': ''}
    late = sweep.in_fork(lambda: time.sleep(60), 0.2)
    assert late == {'alone': 'took more than 0.2 s'}
    ended = sweep.in_fork(lambda: sys.exit(3), 60)
    assert ended == {'alone': 'ended with status 1'}


class Stub(torch.nn.Module):
    """A segmentor with one weight."""

    def __init__(self, factor):
        super().__init__()
        self.weight, self.factor = torch.nn.Parameter(torch.ones(1)), factor

    def train_step(self, data, wrapper):
        assert data == dict(inputs=1, data_samples=2)  # the labelled branch alone
        loss = (self.weight * self.factor).sum()
        wrapper.update_params(loss)
        return dict(loss=loss)


@pytest.mark.parametrize(
    'factor, message',
    [(1.0, None), (0.0, 'no parameter has changed'), (torch.nan, 'the loss is nan')],
)
def test_two_steps_must_teach(factor, message, sweep):
    batch = dict(inputs=dict(sup=1), data_samples=dict(sup=2))
    config = dict(type=Stub, factor=factor)
    if message is None:
        sweep.two_steps(config, batch)
        return
    with pytest.raises(ArithmeticError, match=message):
        sweep.two_steps(config, batch)


def test_one_model_into_a_page(sweep, tmp_path, capfd):
    page, kept = tmp_path / 'page.md', tmp_path / 'rows.json'
    page.write_text(f'before\n{sweep.START}\nold\n{sweep.END}\nafter\n')
    with DefaultScope.overwrite_default_scope('mmsemi'):
        argv = ['--only', 'fcn_hr18', '--write', str(page), '--json', str(kept)]
        sweep.main(argv)
    assert json.loads(kept.read_text()) == {
        'fcn_hr18': dict.fromkeys(('alone', *sweep.SHOWN), '')
    }
    text = page.read_text()
    assert text.startswith('before\n') and text.endswith(f'{sweep.END}\nafter\n')
    assert 'old' not in text and 'fcn_hr18 | yes | yes' in text
    assert 'torch' in text.splitlines()[2]


def test_the_page_has_a_row_for_each_model(sweep):
    page = (ROOT / 'docs/support.md').read_text()
    rows = [line.split(' | ')[0][2:] for line in page.splitlines() if ' | yes' in line]
    assert len(rows) > 70 and set(rows) <= {name for name, _ in sweep.models()}
