"""Layer-wise learning rates of networks that are inside a method."""

import logging

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper

from mmsemi.registry import MODELS

DECAY = dict(decay_rate=0.5, decay_type='stage_wise', num_layers=6)
INNER = 'LearningRateDecayOptimizerConstructor'


@pytest.fixture(autouse=True)
def quiet(default_scope):
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@pytest.fixture
def segmentor(tiny_segmentor):
    tiny_segmentor['backbone'] = dict(
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 32, 64]),
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,
    )
    return ConfigDict(tiny_segmentor)


def rates(model, kind, **paramwise):
    """Return the learning rate of each parameter that is optimised, by name."""
    wrapper = build_optim_wrapper(
        model,
        ConfigDict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.05),
            constructor=kind,
            paramwise_cfg=dict(DECAY, **paramwise),
        ),
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize(
    'kind, networks', [('MeanTeacher', ['student']), ('CPS', ['net1', 'net2'])]
)
def test_each_trained_network_as_the_plain_one(kind, networks, segmentor):
    plain = rates(MODELS.build(segmentor), INNER)
    assert len(set(plain.values())) > 4
    model = MODELS.build(dict(type=kind, segmentor=segmentor))
    found = rates(model, 'PerNetworkConstructor', constructor=INNER)
    assert found == {
        f'{network}.{name}': rate
        for network in networks
        for name, rate in plain.items()
    }


def test_a_parameter_outside_of_the_networks(segmentor):
    model = MODELS.build(dict(type='MeanTeacher', segmentor=segmentor))
    model.scale = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match='scale of MeanTeacher is in none of its net'):
        rates(model, 'PerNetworkConstructor', constructor=INNER)
