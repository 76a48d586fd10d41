"""The lengths of every method: steps, or the same as a share of the training."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict

from mmsemi.models.utils import lengths
from mmsemi.registry import MODELS

CASES = [('U2PL', 'warmup_iters'), ('CPS', 'warmup_iters')]
CASES += [('MeanTeacher', 'rampup_iters')]


@pytest.fixture
def build(tiny_segmentor):
    """Return a function that builds a method, its weights always the same."""

    def make(kind, **kwargs):
        torch.manual_seed(0)
        segmentor = copy.deepcopy(tiny_segmentor)
        if kind == 'U2PL':
            kwargs |= dict(bank_size=60, bank_size_first=80, num_negatives=9)
        model = MODELS.build(ConfigDict(type=kind, segmentor=segmentor, **kwargs))
        model.init_weights()
        return model.train()

    return make


@pytest.mark.parametrize(('kind', 'name'), CASES)
@pytest.mark.parametrize('iteration', [3, 4])
def test_a_share_is_as_its_steps(build, make_batch, kind, name, iteration):
    inputs, samples = make_batch()
    for labelled, other in zip(samples['sup'], samples['unsup_teacher'], strict=True):
        labelled.valid = other.valid
    found = []
    for length in (4, 0.4):
        model = build(kind, **{name: length})
        model.set_iter(iteration, 10)
        torch.manual_seed(1)
        found.append(model(inputs, samples, mode='loss'))
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert torch.equal(value, found[1][key]), key
    unlabelled = any(key in found[1] for key in ('loss_unsup', 'loss_cps'))
    assert unlabelled == (name == 'rampup_iters' or iteration == 4)


@pytest.mark.parametrize(('kind', 'name'), CASES)
@pytest.mark.parametrize('length', [-1, 1.0, 1.5, '4'])
def test_neither(build, kind, name, length):
    with pytest.raises(ValueError, match=rf'{name}={length!r}: give a whole number'):
        build(kind, **{name: length})


@pytest.mark.parametrize(('kind', 'name'), CASES[:2])
def test_warm_up_of_the_whole_training(build, kind, name):
    model = build(kind, **{name: 40})
    for total in (40, 30):
        message = rf'{kind} {name}=40: the training has {total} steps only'
        with pytest.raises(ValueError, match=message):
            model.set_iter(0, total)
        with pytest.raises(ValueError, match=message):
            model.warmup_steps(total)
    model.set_iter(0, 41)
    assert model.warmup_steps(41) == 40 and model.in_warmup


def test_warmup_steps(build):
    assert build('MeanTeacher', rampup_iters=20).warmup_steps(10) == 0
    assert build('CPS').warmup_steps(1) == 0
    assert build('CPS', warmup_iters=0.25).warmup_steps(2500) == 625


def test_rampup_longer_than_the_training(build, monkeypatch):
    said = []
    monkeypatch.setattr(lengths, 'print_log', lambda text, **kwargs: said.append(text))
    model = build('MeanTeacher', rampup_iters=20)
    model.set_iter(0, 20)
    assert not said
    for iteration in range(2):
        model.set_iter(iteration, 10)
    (text,) = said
    assert 'MeanTeacher rampup_iters=20: the training has 10 steps only' in text
