"""The recipes of ``configs/``: what each stage learns from, and for how long."""

import math

import pytest
from mmengine.config import Config

from mmsemi.recipes.read import load_stage

PLUS = ['supervised', 'retrain_reliable', 'retrain']
TOTAL = {'voc12aug': 10582, 'cityscapes': 2975}
# spec: 80 epochs of ST and ST++ on VOC, 100 of BST, 240 on Cityscapes
EPOCHS = {'st': 80, 'stpp': 80, 'bst': 100}
PUBLISHED = {
    ('voc12aug', 662): (3280, 51280, 99200),
    ('voc12aug', 1323): (6560, 49600, 92560),
    ('voc12aug', 2645): (13200, 46240, 92560),
    ('voc12aug', 92): (880, 52880, 105280),
    ('voc12aug', 1464): (7280, 52000, 96800),
    ('cityscapes', 100): (2880, 43920, 86400),
    ('cityscapes', 372): (5520, 41760, 78000),
    ('cityscapes', 744): (11040, 38880, 66720),
}

pytestmark = pytest.mark.usefixtures('default_scope')


def lengths(recipe):
    return [stage.config().train_cfg.max_iters for stage in recipe.stages]


def released_lengths(total, labeled, epochs):
    """Count the batches of 16 as the released code makes them, the rest dropped."""
    unlabeled = total - labeled
    reliable = unlabeled // 2
    first = labeled * 2 if labeled < 200 else labeled
    lists = [first]
    for pseudo in (reliable, unlabeled):
        lists.append(labeled * math.ceil(pseudo / labeled) + pseudo)
    return [epochs * (images // 16) for images in lists]


def test_length(recipe):
    data = recipe.name['data'].split('-')
    if data[0] not in TOTAL:
        return
    labeled, method = int(data[-1]), recipe.name['method']
    epochs = EPOCHS[method] if data[0] == 'voc12aug' else 240
    expected = released_lengths(TOTAL[data[0]], labeled, epochs)
    published = PUBLISHED.get((data[0], labeled))
    if published and epochs in (80, 240):
        assert tuple(expected) == published
    assert lengths(recipe) == (expected[::2] if method == 'st' else expected)
    # the total batch that the rate is meant for
    assert int(recipe.name['gpus']) * int(recipe.name['batch']) == 16


@pytest.mark.parametrize('method', EPOCHS)
def test_every_protocol_is_there(leaves, method):
    found = {
        (leaf.name['data'], leaf.name['backbone'])
        for leaf in leaves
        if (leaf.name['method'], leaf.name['head']) == (method, 'deeplabv3plus')
    }
    voc = ['classic-92', 'classic-183', 'classic-366', 'classic-732', 'classic-1464']
    voc += ['stpp-662', 'stpp-1323', 'stpp-2645']
    data = [f'voc12aug-{split}' for split in voc]
    data += [f'cityscapes-stpp-{n}' for n in (100, 372, 744)]
    expected = {(d, backbone) for d in data for backbone in ('r50', 'r101')}
    assert found == expected | {('camvid-12', 'r18'), ('toyvoc', 'r18')}


def test_stages(recipe):
    names = [stage.name for stage in recipe.stages]
    assert names == (
        ['supervised', 'retrain'] if recipe.name['method'] == 'st' else PLUS
    )
    for stage in recipe.stages:
        cfg = stage.config()
        parts = cfg.train_dataloader.dataset
        shares = cfg.train_dataloader.sampler.num_per_source
        assert set(shares) == set(parts) - {'type'}
        assert sum(shares.values()) == cfg.train_dataloader.batch_size
        assert shares.labeled * (1 if len(shares) == 1 else 2) == sum(shares.values())
        # a fresh network in each, as ST++
        assert cfg.load_from is None
        assert cfg.custom_hooks[0].type == 'ExactResumeHook'
        for name in set(shares) - {'labeled'}:
            steps = [step.type for step in parts[name].pipeline]
            weak = [step.type for step in parts.labeled.pipeline]
            strong = ['StrongPhotometric', 'NoiseCutOut']
            assert steps == [*weak[:-1], *strong, weak[-1]]


def where_labels_are(cfg):
    parts = cfg.train_dataloader.dataset
    return {
        name: (part.ann_file, part.data_prefix.seg_map_path)
        for name, part in parts.items()
        if name not in ('type', 'labeled')
    }


def test_what_each_stage_learns_from_and_labels(recipe):
    configs = [stage.config() for stage in recipe.stages]
    split = Config.fromfile(recipe.path).split
    reliable = '{work_dir}/supervised/reliable.txt'
    unreliable = '{work_dir}/supervised/unreliable.txt'
    first = '{work_dir}/supervised/pseudo_labels'
    second = '{work_dir}/retrain_reliable/pseudo_labels'
    hooks = [[hook.type for hook in cfg.custom_hooks[1:]] for cfg in configs]
    listed = [
        [hook.dataset.ann_file for hook in cfg.custom_hooks[1:]] for cfg in configs
    ]
    everything = f'{split}/unlabeled.txt'
    assert where_labels_are(configs[0]) == {}
    if recipe.name['method'] == 'st':
        assert hooks == [['PseudoLabelHook'], []]
        assert listed == [[everything], []]
        assert where_labels_are(configs[1]) == {'pseudo': (everything, first)}
        return
    assert hooks == [['ReliabilityHook', 'PseudoLabelHook'], ['PseudoLabelHook'], []]
    assert listed == [[everything, reliable], [unreliable], []]
    assert where_labels_are(configs[1]) == {'reliable': (reliable, first)}
    assert where_labels_are(configs[2]) == {
        'reliable': (reliable, first),
        'unreliable': (unreliable, second),
    }


def test_how_the_labels_are_made(recipe):
    both = ['branch1', 'branch2'] if recipe.name['method'] == 'bst' else None
    for stage in recipe.stages[:-1]:
        for hook in stage.config().custom_hooks[1:]:
            assert hook.networks == both
            if hook.type == 'PseudoLabelHook':
                assert bool(hook.noise) == (both is not None)
                assert hook.truth_dir is None
                assert hook.flip
                if recipe.name['data'].split('-')[0] in TOTAL:
                    assert hook.scales == [0.5, 0.75, 1.0, 1.5, 2.0]


def test_data_may_lie_elsewhere(recipe):
    """One key moves every part, also in the configs whose parts have others below."""
    cfg = load_stage(str(recipe.path), {'data_root': 'elsewhere', 'split': 'mine'})
    parts = [p for p in cfg.train_dataloader.dataset.values() if isinstance(p, dict)]
    parts += [cfg.val_dataloader.dataset, cfg.test_dataloader.dataset]
    assert {part.data_root for part in parts} == {'elsewhere'}
    assert parts[0].ann_file == 'mine/labeled.txt'


def test_optimisation(recipe):
    """The released code's, for 16 images; on small data our own AdamW."""
    cfg = recipe.cfg
    optimizer, data = cfg.optim_wrapper.optimizer, recipe.name['data'].split('-')[0]
    assert [scheduler.get('end') for scheduler in cfg.param_scheduler][-1] is None
    if data not in TOTAL:
        assert optimizer.type == 'AdamW'
        return
    rate = dict(voc12aug=0.001, cityscapes=0.004)[data]
    assert dict(optimizer) == dict(
        type='SGD', lr=rate, momentum=0.9, weight_decay=0.0001
    )
    resize = cfg.train_dataloader.dataset.labeled.pipeline[2]
    base = dict(voc12aug=400, cityscapes=2048)[data]
    assert (resize.scale, resize.ratio_range) == ((base, base), (0.5, 2.0))
