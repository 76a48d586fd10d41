"""LPL's recipes: what each stage learns from, labels, and is tested on."""

import copy
import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper

from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.datasets.transforms import StrongAugment
from mmsemi.recipes.read import load_stage
from mmsemi.registry import HOOKS, MODELS

SCALES = {
    'voc12aug': [0.5, 0.75, 1.0, 1.25, 1.5],
    'camvid': [0.75, 1.0, 1.25],
    'toyvoc': [1.0],
}
# of stage 1 and of stage 2
LENGTHS = {'voc12aug': [20000, 30000], 'camvid': [2500, 2500], 'toyvoc': [1000, 1000]}
RATES = {'voc12aug': [0.001, 0.007], 'camvid': [0.001] * 2, 'toyvoc': [0.005] * 2}
BATCHES = {
    'voc12aug': [dict(labeled=5, weak=5), dict(every=16)],
    'camvid': [dict(labeled=8, weak=8), dict(labeled=8, pseudo=8)],
    'toyvoc': [dict(labeled=8, weak=8), dict(labeled=4, pseudo=4)],
}
CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSES = {'voc12aug': 21, 'camvid': 11, 'toyvoc': 7}

pytestmark = pytest.mark.usefixtures('default_scope')


@pytest.fixture
def recipes(leaves):
    """Return (data, leaf, configs of the two stages) of each of LPL's recipes."""
    found = [leaf for leaf in leaves if leaf.name['method'] == 'lpl']
    return [
        (leaf.name['data'].split('-')[0], leaf, [s.config() for s in leaf.stages])
        for leaf in found
    ]


def parts_of(cfg) -> dict:
    """Return the parts of the data as the data set reads them."""
    data = cfg.train_dataloader.dataset
    parts = {name: part for name, part in data.items() if isinstance(part, dict)}
    return fill_parts(parts, data.split, data.get('data_root'))


def split_of(leaf) -> str:
    name = leaf.name['data']
    own = {'camvid-12': 'splits/12', 'toyvoc': 'splits/seed0/24'}
    return own.get(name) or 'splits/classic/' + name.rsplit('-')[-1]


def labels_of(cfg) -> dict:
    return cfg.default_hooks.pseudo_labels


def kinds(steps) -> list[str]:
    return [step.type for step in steps]


def test_every_protocol_is_there(recipes):
    found = {(leaf.name['data'], leaf.name['backbone']) for _, leaf, _ in recipes}
    voc = {(f'voc12aug-classic-{n}', 'r101') for n in (92, 183, 366, 732, 1464)}
    assert found == voc | {('camvid-12', 'r18'), ('toyvoc', 'r18')}


def test_two_stages_and_what_they_train(recipes):
    for data, leaf, configs in recipes:
        assert [stage.name for stage in leaf.stages] == ['lpl', 'retrain']
        first, second = configs
        assert first.model.type == 'LPL' and second.model.type == 'EncoderDecoder'
        # one architecture, each from ImageNet's weights or none
        assert first.model.segmentor == second.model
        assert first.model.background == (data != 'camvid')
        assert first.model.class_weight is None  # as released
        weights = [1.0] * CLASSES[data]
        option = {'stages.lpl.method.class_weight': weights}
        changed = load_stage(str(leaf.path), option, 'lpl')
        assert changed.model.class_weight == weights
        assert first.load_from is None and second.load_from is None
        assert first.randomness.seed + 1 == second.randomness.seed
        assert first.custom_hooks[0].type == second.custom_hooks[0].type
        assert first.custom_hooks[0].type == 'ExactResumeHook'
        assert leaf.heads[0].num_classes == CLASSES[data]


def test_numbers(recipes):
    for data, leaf, configs in recipes:
        assert [cfg.train_cfg.max_iters for cfg in configs] == LENGTHS[data]
        assert [cfg.optim_wrapper.optimizer.lr for cfg in configs] == RATES[data]
        loaders = [cfg.train_dataloader for cfg in configs]
        shares = [dict(loader.sampler.num_per_source) for loader in loaders]
        assert shares == BATCHES[data]
        assert [loader.batch_size for loader in loaders] == [
            sum(share.values()) for share in shares
        ]
        if data == 'voc12aug':
            optimizer = configs[0].optim_wrapper.optimizer
            assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 4e-5)
            for cfg in configs:
                assert cfg.param_scheduler[0].power == 0.9
                assert cfg.param_scheduler[0].eta_min == 0
            backbone, head = (configs[1].model[k] for k in ('backbone', 'decode_head'))
            assert f'r{backbone.depth}' == leaf.name['backbone']
            assert tuple(backbone.strides) == (1, 2, 1, 1)
            assert tuple(backbone.dilations) == (1, 1, 2, 4)
            assert backbone.contract_dilation and 'multi_grid' not in backbone
            assert tuple(head.dilations) == (1, 6, 12, 18)
            default = signature(MODELS.get(head.type)).parameters['aspp_dropout_ratio']
            assert head.get('aspp_dropout_ratio', default.default) == 0.5
            assert head.dropout_ratio == 0
            (strong,) = (
                step
                for step in configs[0].train_dataloader.dataset.labeled.pipeline
                if step.type == 'StrongAugment'
            )
            assert (
                StrongAugment(**{k: strong[k] for k in strong if k != 'type'}).num_ops
                == 2
            )
            factors = [
                view.scale_factor for view in configs[0].tta_pipeline[1].transforms[0]
            ]
            assert factors == SCALES[data]


def test_strong_and_weak_images(recipes):
    load = ['LoadImageFromFile', 'LoadAnnotations', 'LoadImageTags']
    for data, leaf, (first, _) in recipes:
        # CamVid is tested at two thirds of its size
        size = ['Resize'] if data == 'camvid' else []
        split = split_of(leaf)
        parts = ConfigDict(parts_of(first))
        assert set(parts) == {'labeled', 'weak'}
        # the strong images are among the weak ones
        assert first.train_dataloader.dataset.allow_overlap
        assert parts.weak.type == 'ConcatDataset'
        masked, unlabeled = parts.weak.datasets
        assert masked.ann_file == parts.labeled.ann_file == f'{split}/labeled.txt'
        assert masked.data_prefix == parts.labeled.data_prefix
        assert unlabeled.ann_file == f'{split}/unlabeled.txt'
        assert unlabeled.type == 'UnlabeledDataset'
        assert 'seg_map_path' not in unlabeled.data_prefix
        crop = ['RandomCrop', 'MultiBranch']
        assert kinds(parts.labeled.pipeline) == [*load, *size, 'StrongAugment', *crop]
        assert kinds(masked.pipeline) == [*load, *size, *crop]
        assert kinds(unlabeled.pipeline) == [load[0], load[2], *size, *crop]
        assert list(parts.labeled.pipeline[-1]) == ['type', 'sup']
        for part in (masked, unlabeled):
            assert list(part.pipeline[-1]) == ['type', 'weak']


def test_stage_2_learns_from_masks_and_labels(recipes):
    for data, leaf, (_, second) in recipes:
        is_voc = data == 'voc12aug'
        parts = ConfigDict(parts_of(second))
        assert set(parts) == ({'every'} if is_voc else {'labeled', 'pseudo'})
        labeled, pseudo = parts.every.datasets if is_voc else parts.values()
        assert 'allow_overlap' not in second.train_dataloader.dataset
        split = split_of(leaf)
        assert labeled.ann_file == f'{split}/labeled.txt'
        assert pseudo.ann_file == f'{split}/unlabeled.txt'
        assert pseudo.data_prefix.seg_map_path == '{work_dir}/lpl/pseudo_labels'
        for part in (labeled, pseudo):
            # on small data what the other methods learn labels with
            changes = ['RandomResize', 'RandomCrop', 'RandomFlip']
            changes = ['StrongAugment', 'RandomCrop'] if is_voc else changes
            assert kinds(part.pipeline) == [
                'LoadImageFromFile',
                'LoadAnnotations',
                *changes,
                'PackSegInputs',
            ]


def test_how_labels_are_made(recipes):
    for data, leaf, (first, second) in recipes:
        for cfg in (first, second):
            assert kinds(cfg.custom_hooks) == ['ExactResumeHook']
        assert 'pseudo_labels' not in second.default_hooks
        hook = labels_of(first)
        assert hook.dataset.ann_file == f'{split_of(leaf)}/unlabeled.txt'
        assert (hook.networks, hook.fuse, hook.flip) == (['hybrid'], 'logits', True)
        assert hook.scales == SCALES[data]
        assert 'threshold' not in hook and 'truth_dir' not in hook
        tags = first.train_dataloader.dataset.labeled.pipeline[2]
        assert hook.tags == tags.path
        HOOKS.build(copy.deepcopy(hook))


def test_evaluation_with_tags_in_stage_1_only(recipes):
    for _, leaf, (first, second) in recipes:
        assert first.model.predict_with_tags
        for loader in (first.val_dataloader, first.test_dataloader):
            steps = loader.dataset.pipeline
            # behind the mask, so that it is checked
            assert kinds(steps)[-3:] == [
                'LoadAnnotations',
                'LoadImageTags',
                'PackSemiInputs',
            ]
        for loader in (second.val_dataloader, second.test_dataloader):
            assert 'LoadImageTags' not in kinds(loader.dataset.pipeline)
        last = [part[0].type for part in first.tta_pipeline[1].transforms[-2:]]
        assert last == ['LoadImageTags', 'PackSemiInputs']
        assert 'LoadImageTags' not in str(second.tta_pipeline)
        option = {'stages.lpl.method.predict_with_tags': False}
        plain = load_stage(str(leaf.path), option, 'lpl')
        assert not plain.model.predict_with_tags


def test_without_a_file_of_validation_tags(recipes, tmp_path):
    """By the config of the README."""
    readme = (CONFIGS / 'lpl/README.md').read_text()
    (text,) = re.findall(r'```python\n(.*?)```', readme, re.DOTALL)
    for _, leaf, (_, second) in recipes:
        path = tmp_path / leaf.path.name
        path.write_text(re.sub(r"'\./lpl_.*?'", repr(str(leaf.path)), text))
        first = load_stage(str(path), name='lpl')
        assert not first.model.predict_with_tags
        for name in ('val_dataloader', 'test_dataloader', 'tta_pipeline'):
            assert first[name] == second[name]
            assert 'LoadImageTags' not in str(first[name])


def test_scores_are_averaged_and_the_crf_comes_last(recipes):
    for data, leaf, (first, second) in recipes:
        assert dict(first.tta_model) == dict(type='LogitTTAModel')
        crf = second.tta_model.pop('crf')
        assert dict(second.tta_model) == dict(type='LogitTTAModel')
        if data == 'voc12aug':
            released = dict(iterations=1, gauss=(3, 3), bilateral=(32, 13, 10))
            assert dict(crf) == released
        else:
            assert crf is None
        option = {'stages.retrain.tta_model.crf': None}
        assert load_stage(str(leaf.path), option).tta_model.crf is None
        views = [
            len(alternatives) for alternatives in second.tta_pipeline[1].transforms
        ]
        assert views == [dict(voc12aug=5, camvid=3, toyvoc=5)[data], 2, 1, 1]


def test_files_may_lie_elsewhere(recipes):
    """A link moves all of them, one option all lists."""
    roots = dict(
        voc12aug='data/VOCdevkit/VOC2012/',
        camvid='data/camvid/',
        toyvoc='data/toyvoc/',
    )
    for data, leaf, _ in recipes:
        option = {'train_dataloader.dataset.split': 'mine'}
        first = load_stage(str(leaf.path), option, 'lpl')
        parts = ConfigDict(parts_of(first))
        every = [parts.labeled, *parts.weak.datasets, first.val_dataloader.dataset]
        root = roots[data]
        assert {part.data_root for part in every} == {root}
        assert [part.ann_file for part in every[:3]] == [
            'mine/labeled.txt',
            'mine/labeled.txt',
            'mine/unlabeled.txt',
        ]
        assert labels_of(first).dataset.ann_file == 'mine/unlabeled.txt'
        loads = [
            step
            for part in every
            for step in part.pipeline
            if step.type == 'LoadImageTags'
        ]
        val = 'tags' if data == 'toyvoc' else 'tags_val'
        names = ['tags.json'] * 3 + [f'{val}.json']
        assert [load.path for load in loads] == [root + name for name in names]
        for load, part in zip(loads, every, strict=True):
            assert load.img_folder == root + part.data_prefix.img_path
        assert labels_of(first).tags == root + 'tags.json'


def test_both_networks_get_the_rates(recipes):
    """The classifier's is ten times as large in both networks."""
    _, _, (first, _) = next(row for row in recipes if row[0] == 'voc12aug')
    cfg = copy.deepcopy(first.model)
    cfg.segmentor.backbone.update(
        depth=18, stem_channels=8, base_channels=8, init_cfg=None
    )
    cfg.segmentor.decode_head.update(
        in_channels=64, channels=8, c1_in_channels=8, c1_channels=4
    )
    model = revert_sync_batchnorm(MODELS.build(cfg))
    wrapper = build_optim_wrapper(model, copy.deepcopy(first.optim_wrapper))
    rates = {id(p): g['lr'] for g in wrapper.param_groups for p in g['params']}
    fast = {n for n, p in model.named_parameters() if rates[id(p)] > 0.002}
    names = [
        f'{net}.decode_head.conv_seg.{part}'
        for net in ('hybrid', 'pseudo')
        for part in ('weight', 'bias')
    ]
    assert fast == set(names)
    np.testing.assert_allclose(sorted(set(rates.values())), [0.001, 0.01])
