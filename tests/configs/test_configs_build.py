"""Every config of ``configs/``: all that it names builds, and its model trains."""

import copy
import json
from functools import cache

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsemi.engine.runner.multi_source_train_loop import resolve_schedules
from mmsemi.models import U2PL
from mmsemi.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)

STAGES = [8, 16, 32, 64]
OTHERS = {
    'MixVisionTransformer': dict(
        embed_dims=8, num_layers=[1] * 4, num_heads=[1, 2, 4, 8]
    ),
    'mmpretrain.ConvNeXt': dict(arch=dict(depths=[1] * 4, channels=STAGES)),
}
GROUPS = {'groups', 'attention_groups'}

pytestmark = pytest.mark.usefixtures('default_scope')


def shrink(leaf):
    """Return the model 8 channels wide, without weights to download."""
    model = copy.deepcopy(leaf.cfg.model.to_dict())
    segmentor = model.get('segmentor', model)
    backbone = segmentor['backbone']
    backbone.pop('init_cfg', None)
    small = OTHERS.get(backbone['type'])
    backbone.update(small or dict(depth=18, stem_channels=8, base_channels=8))
    head = segmentor['decode_head']
    head['in_channels'] = STAGES if small else 64
    if head['type'] != 'DeepLabV2Head':
        head['channels'] = 8
    if 'c1_in_channels' in head:
        head['c1_in_channels'] = 8
    if head['type'] in ('DepthwiseSeparableASPPHead', 'DeepLabV3PlusHead'):
        head['c1_channels'] = 4
    if 'auxiliary_head' in segmentor:
        segmentor['auxiliary_head'].update(in_channels=32, channels=8)
    if head['type'] == 'U2PLHead':
        head['rep_channels'] = 8
    if model['type'] == 'U2PL':
        model.update(rep_channels=8, bank_size=16, bank_size_first=16)
        model.update(warmup_iters=0)
    if model['type'] == 'BST':
        second = model['branch2']['decode_head']
        for options in (second, second.get('attention', {})):
            options.update(dict.fromkeys(options.keys() & GROUPS, 4))
    segmentor['data_preprocessor']['size'] = (33, 33)
    return model


@cache
def build(key):
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(json.loads(key)))


def build_tiny(leaf):
    """Build the shrunken model, once for all configs that share it."""
    return build(json.dumps(shrink(leaf), sort_keys=True))


def test_optimizer_and_schedule_build(leaf):
    cfg, model = leaf.cfg, build_tiny(leaf)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    rates = {id(p): g['lr'] for g in wrapper.param_groups for p in g['params']}
    base = cfg.optim_wrapper.optimizer.lr
    for name, parameter in model.named_parameters():
        expected = base * (leaf.head_factor if leaf.fast_part in name else 1)
        if parameter.requires_grad:
            assert rates[id(parameter)] == pytest.approx(expected), name
    length = leaf.length
    for scheduler in resolve_schedules(cfg.param_scheduler, length):
        end = dict(end=length)
        PARAM_SCHEDULERS.build({**end, **scheduler, 'optimizer': wrapper})


def test_hooks_pipelines_and_loops_build(leaf):
    cfg = leaf.cfg
    # a hook that draws asks for the visualizer when it is built
    VISUALIZERS.build({**cfg.visualizer, 'name': 'test_all_configs'})
    for hook in [*cfg.custom_hooks, *cfg.default_hooks.values()]:
        HOOKS.build(copy.deepcopy(hook))
    pipelines = [part.pipeline for part in leaf.sources.values()]
    for step in leaf.steps([*pipelines, cfg.val_dataloader.dataset.pipeline]):
        TRANSFORMS.build(copy.deepcopy(step))
    METRICS.build(copy.deepcopy(cfg.val_evaluator))
    for loop in (cfg.train_cfg, cfg.val_cfg, cfg.test_cfg):
        assert LOOPS.get(loop.type) is not None
    for part in [*leaf.sources.values(), cfg.val_dataloader.dataset]:
        assert DATASETS.get(part.type) is not None
    assert DATA_SAMPLERS.get(cfg.train_dataloader.sampler.type) is not None


def samples(classes):
    """Return the labels of two images of 33 x 33."""
    made = []
    for _ in range(2):
        label = torch.randint(0, classes, (1, 33, 33))
        sample = SegDataSample(metainfo=dict(img_shape=(33, 33), ori_shape=(33, 33)))
        sample.gt_sem_seg = PixelData(data=label)
        sample.valid = PixelData(data=torch.ones(1, 33, 33, dtype=torch.bool))
        made.append(sample)
    return made


def test_each_model_takes_a_step(leaves):
    representatives = {id(build_tiny(leaf)): leaf for leaf in leaves}
    for leaf in representatives.values():
        model = build_tiny(leaf).train()
        inputs = torch.randn(2, 3, 33, 33)
        labels = samples(leaf.heads[0].num_classes)
        if leaf.cfg.model.type in (
            'U2PL',
            'MeanTeacher',
            'FixMatch',
            'CPS',
            'UniMatch',
        ):
            model.set_iter(500, 1000)
            branches = ('sup', 'unsup_teacher', 'unsup_student', 'unsup_student2')
            inputs = dict.fromkeys(branches, inputs)
            labels = dict.fromkeys(branches, labels)
        total, _ = model.parse_losses(model.loss(inputs, labels))
        model.zero_grad()
        total.backward()
        assert torch.isfinite(total), leaf.path.stem
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        idle = {name for name, p in trained if p.grad is None}
        expected = {
            name
            for name, _ in trained
            if 'representation' in name and not isinstance(model, U2PL)
        }
        assert idle == expected, leaf.path.stem
