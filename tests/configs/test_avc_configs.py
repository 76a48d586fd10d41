"""The recipes of ``configs/avc``: their stages, numbers, and what they build."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper

from mmsemi.recipes.read import read_stages
from mmsemi.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)

FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'avc'
PATHS = sorted(FOLDER.glob('*.py'))
VOC = 'avc_largefov_r38-d8_1xb5-45k_voc12aug-tags-448x448'
PSA = VOC.replace('avc', 'psa')
COCO = 'avc_largefov_r38-d8_1xb5-100k_coco14-tags-448x448'
TOY = 'avc_largefov_r38w16-d8_1xb8-demo_toyvoc-96x96'

pytestmark = pytest.mark.usefixtures('default_scope')


def stages(name):
    recipe = Config.fromfile(FOLDER / f'{name}.py')
    return {s.name: s.config() for s in read_stages(recipe, 'work')}


def only_part(cfg):
    """Return the one part of the data that a stage draws from."""
    dataset = cfg.train_dataloader.dataset
    (part,) = (value for value in dataset.values() if isinstance(value, dict))
    return part


def test_files_are_listed():
    names = [path.stem for path in PATHS]
    assert sorted(names) == sorted([VOC, PSA, COCO, TOY])
    listed = [model['Name'] for model in load(FOLDER / 'metafile.yaml')['Models']]
    assert sorted(listed) == sorted(names)
    readme = (FOLDER / 'README.md').read_text()
    assert all(f'({name}.py)' in readme for name in names)


@pytest.mark.parametrize('name', [VOC, PSA, COCO, TOY])
def test_no_stage_of_the_training_opens_a_mask(name):
    found = stages(name)
    assert list(found) == ['classify', 'affinity', 'segment']
    tagged = only_part(found['classify'])
    assert tagged.type == 'UnlabeledDataset'
    labels = {
        'affinity': '{work_dir}/classify/affinity_labels',
        'segment': '{work_dir}/affinity/pseudo_labels',
    }
    for stage, folder in labels.items():
        part = only_part(found[stage])
        assert part.data_prefix.seg_map_path == folder
        assert part.ann_file == tagged.ann_file
    assert found['classify'].val_dataloader.dataset.type == 'UnlabeledDataset'
    assert found['affinity'].val_dataloader is None
    for cfg in found.values():
        for hook in [*cfg.custom_hooks, *cfg.default_hooks.values()]:
            assert hook.get('truth_dir') is None
            if 'dataset' in hook:
                assert hook.dataset.ann_file == tagged.ann_file


@pytest.mark.parametrize('name', [VOC, PSA, COCO, TOY])
def test_everything_builds(name):
    for cfg in stages(name).values():
        loader = cfg.train_dataloader
        VISUALIZERS.build({**cfg.visualizer, 'name': 'test_avc_configs'})
        assert loader.batch_size == sum(loader.sampler.num_per_source.values())
        for hook in [*cfg.custom_hooks, *cfg.default_hooks.values()]:
            HOOKS.build(copy.deepcopy(hook))
        parts = [part for part in loader.dataset.values() if isinstance(part, dict)]
        if cfg.val_dataloader is not None:
            parts.append(cfg.val_dataloader.dataset)
            METRICS.build(copy.deepcopy(cfg.val_evaluator))
        for part in parts:
            assert DATASETS.get(part.type) is not None
            for step in part.pipeline:
                if step.type != 'LoadImageTags':  # reads its file
                    TRANSFORMS.build(copy.deepcopy(step))
                assert '{' not in str(step.get('classes', ''))


def test_toyvoc_classifies_whole_images_and_starts_from_the_classifier():
    found = stages(TOY)
    tagged = only_part(found['classify'])
    names = [step.type for step in tagged.pipeline]
    # a crop may lack what its image is tagged with
    assert 'RandomResize' in names and 'RandomCrop' not in names
    view = tagged.pipeline[names.index('RandomResize')]
    assert max(view.ratio_range) == 1.0
    size = found['classify'].model.data_preprocessor['size']
    assert tuple(view.scale) == tuple(size) == (64, 64)
    validated = found['classify'].val_dataloader.dataset.pipeline
    assert [step.scale for step in validated if step.type == 'Resize'] == [(64, 64)]
    for stage in ('affinity', 'segment'):
        assert found[stage].load_from == '{classify.last}'
        assert found[stage].model.data_preprocessor['size'] == (96, 96)
        assert stages(VOC)[stage].load_from is None


def shrink(cfg):
    """Return the model with few channels, without weights to download."""
    model = copy.deepcopy(cfg.model.to_dict())
    backbone = model['backbone']
    backbone.pop('init_cfg', None)
    head = model.get('head') or model['decode_head']
    if backbone['type'] == 'ResNet38':
        backbone['width'] = 1 / 64
        wide = (8, 16, 64)
        head['in_channels'] = wide if head['type'] == 'AffinityHead' else 64
        if head['type'] == 'LargeFOVHead':
            head['channels'] = 8
    else:
        backbone.update(
            arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12),
            base_channels=8,
        )
        head['in_channels'] = (32, 24)
    return model


@pytest.mark.parametrize('name', [VOC, PSA, COCO, TOY])
def test_models_and_optimisers_build(name):
    if name in (VOC, COCO):
        pytest.importorskip('mmpretrain')
    for stage, cfg in stages(name).items():
        model = MODELS.build(shrink(cfg)).train()
        wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
        rates = {id(p): g['lr'] for g in wrapper.param_groups for p in g['params']}
        base = cfg.optim_wrapper.optimizer.lr
        fast = base != 0.001 or stage == 'segment'
        for key, value in model.named_parameters():
            if value.requires_grad and 'AdamW' != cfg.optim_wrapper.optimizer.type:
                times = 10 if 'head' in key else 1
                times = 20 if key == 'decode_head.conv_seg.bias' else times
                assert fast and rates[id(value)] == pytest.approx(times * base), key
        for scheduler in cfg.param_scheduler:
            end = dict(end=cfg.train_cfg.max_iters)
            PARAM_SCHEDULERS.build({**end, **scheduler, 'optimizer': wrapper})
        if stage == 'classify':
            assert model.num_classes == {COCO: 81, TOY: 7}.get(name, 21)
            with torch.no_grad():
                assert model.eval()(torch.rand(1, 3, 32, 32)).shape[1] == (
                    model.num_classes - 1
                )


def test_published_numbers_of_voc():
    found = stages(VOC)
    classify, affinity, segment = found.values()
    assert [c.train_cfg.max_iters for c in found.values()] == [26455, 10582, 45000]
    assert [c.train_dataloader.batch_size for c in found.values()] == [8, 8, 5]
    assert classify.optim_wrapper.optimizer == dict(
        type='AdamW', lr=5e-5, weight_decay=5e-4
    )
    assert classify.param_scheduler == []
    hook = classify.default_hooks.cams
    assert (hook.squares, hook.refine, hook.normalize) == (
        [256, 512, 768],
        True,
        'seam',
    )
    sure = classify.default_hooks.affinity_labels
    assert (sure.foreground, sure.background) == (
        dict(threshold=0.6),
        dict(threshold=0.25),
    )
    crf = dict(confidence=0.7, num_labels=21, iterations=10, gauss=(3, 3))
    assert sure.crf == dict(crf, bilateral=(50, 5, 10))
    walk = affinity.default_hooks.pseudo_labels
    assert (walk.beta, walk.log_t) == (14, 7)
    assert walk.background == dict(threshold=0.42) and walk.crf == sure.crf
    assert affinity.optim_wrapper.optimizer.momentum == 0
    assert segment.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.001, momentum=0.9, weight_decay=5e-4
    )
    assert segment.tta_model.crf == dict(
        iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)
    )
    for cfg in (affinity, segment):
        assert cfg.model.backbone.norm_cfg == dict(
            type='BN', momentum=3e-4, requires_grad=False
        )
    assert affinity.model.backbone.norm_eval and not segment.model.backbone.norm_eval
    # lr_t = lr (1 - t / T)^0.9 with PSA's T, and with that of the last stage
    for cfg, extra in ((affinity, 0), (segment, 1)):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        (poly,) = cfg.param_scheduler
        scheduler = PARAM_SCHEDULERS.build(dict(poly, optimizer=optimizer))
        for _ in range(100):
            optimizer.step()
            scheduler.step()
        total = cfg.train_cfg.max_iters + extra
        lr = optimizer.param_groups[0]['lr']
        assert lr == pytest.approx((1 - 100 / total) ** 0.9, rel=1e-9)


def test_published_numbers_of_psa():
    found = stages(PSA)
    classify, affinity, _ = found.values()
    assert classify.model.backbone.type == 'ResNet38'
    assert classify.model.consistency_weight == 0
    assert classify.train_cfg.max_iters == 9921
    assert (
        classify.train_dataloader.batch_size,
        classify.optim_wrapper.optimizer.lr,
    ) == (16, 0.1)
    hook, sure = classify.default_hooks.cams, classify.default_hooks.affinity_labels
    assert (hook.scales, hook.get('squares'), hook.normalize) == (
        [1.0, 0.5, 1.5, 2.0],
        None,
        'max',
    )
    assert (sure.foreground, sure.background) == (dict(power=4), dict(power=32))
    assert sure.crf == dict(iterations=10, gauss=(3, 3), bilateral=(80, 13, 10))
    walk = affinity.default_hooks.pseudo_labels
    assert (walk.background, walk.beta, walk.log_t, walk.crf) == (
        dict(power=16),
        8,
        8,
        None,
    )
