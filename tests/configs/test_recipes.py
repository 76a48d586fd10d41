"""The recipes of ``configs/``: what each stage learns from, and for how long."""

import math

import pytest

from mmsemi.datasets.multi_source_dataset import fill_parts
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
    found = [recipe.length_of(stage.config()) for stage in recipe.stages]
    assert found == (expected[::2] if method == 'st' else expected)
    # the total batch that the rate is meant for
    assert int(recipe.name['gpus']) * int(recipe.name['batch']) == 16


STPP = [f'voc12aug-stpp-{n}' for n in (662, 1323, 2645)]
CITYSCAPES = [f'cityscapes-stpp-{n}' for n in (100, 372, 744)]
ROWS = {
    ('st', 'r50'): [*STPP, *CITYSCAPES],
    ('st', 'r101'): [*(f'voc12aug-classic-{n}' for n in (92, 183, 732)), *STPP],
    ('stpp', 'r50'): [*STPP, *CITYSCAPES, *STPP],  # also PSPNet
    ('stpp', 'r101'): [
        *(f'voc12aug-classic-{n}' for n in (92, 183, 366, 732, 1464)),
        *STPP,
    ],
    # the released README's commands
    ('bst', 'r50'): ['voc12aug-stpp-1323', 'cityscapes-stpp-372'],
    **{(method, 'r18'): ['camvid-12', 'toyvoc'] for method in EPOCHS},
}


def test_every_published_row_is_there(leaves):
    found = {}
    for leaf in leaves:
        if leaf.name['method'] in EPOCHS:
            key = leaf.name['method'], leaf.name['backbone']
            found.setdefault(key, []).append(leaf.name['data'])
    assert {key: sorted(data) for key, data in found.items()} == {
        key: sorted(data) for key, data in ROWS.items()
    }


def parts_of(cfg):
    dataset = cfg.train_dataloader.dataset
    parts = {name: part for name, part in dataset.items() if isinstance(part, dict)}
    return fill_parts(parts, dataset.get('split'), dataset.get('data_root'))


def labelling(cfg):
    """Return the hooks that rank or label, in their order."""
    names = ('reliability', 'pseudo_labels')
    return [cfg.default_hooks[name] for name in names if name in cfg.default_hooks]


def test_stages(recipe):
    names = [stage.name for stage in recipe.stages]
    assert names == (
        ['supervised', 'retrain'] if recipe.name['method'] == 'st' else PLUS
    )
    for stage in recipe.stages:
        cfg = stage.config()
        parts = parts_of(cfg)
        shares = cfg.train_dataloader.sampler.num_per_source
        assert set(shares) == set(parts)
        assert sum(shares.values()) == cfg.train_dataloader.batch_size
        assert shares.labeled * (1 if len(shares) == 1 else 2) == sum(shares.values())
        # a fresh network in each, as ST++
        assert cfg.load_from is None
        assert cfg.custom_hooks[0].type == 'ExactResumeHook'
        for name in set(shares) - {'labeled'}:
            steps = [step['type'] for step in parts[name]['pipeline']]
            weak = [step['type'] for step in parts['labeled']['pipeline']]
            strong = ['StrongPhotometric', 'NoiseCutOut']
            assert steps == [*weak[:-1], *strong, weak[-1]]


def where_labels_are(cfg):
    return {
        name: (part['ann_file'], part['data_prefix']['seg_map_path'])
        for name, part in parts_of(cfg).items()
        if name != 'labeled'
    }


def test_what_each_stage_learns_from_and_labels(recipe):
    configs = [stage.config() for stage in recipe.stages]
    split = configs[0].train_dataloader.dataset.split
    reliable = '{work_dir}/supervised/reliable.txt'
    unreliable = '{work_dir}/supervised/unreliable.txt'
    first = '{work_dir}/supervised/pseudo_labels'
    second = '{work_dir}/retrain_reliable/pseudo_labels'
    hooks = [[hook.type for hook in labelling(cfg)] for cfg in configs]
    listed = [[hook.dataset.ann_file for hook in labelling(cfg)] for cfg in configs]
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
        for hook in labelling(stage.config()):
            assert hook.get('networks') == both
            if hook.type == 'PseudoLabelHook':
                assert hook.get('noise', 0) == (0.1 if both else 0)
                assert hook.get('truth_dir') is None
                assert hook.flip
                if recipe.name['data'].split('-')[0] in TOTAL:
                    assert hook.scales == [0.5, 0.75, 1.0, 1.5, 2.0]


def test_data_may_lie_elsewhere(recipe):
    """One key moves every part, and the images to label."""
    options = {
        'train_dataloader.dataset.data_root': 'elsewhere',
        'train_dataloader.dataset.split': 'mine',
    }
    for name in [stage.name for stage in recipe.stages]:
        cfg = load_stage(str(recipe.path), options, name)
        parts = parts_of(cfg)
        moved = [*parts.values(), *(hook.dataset for hook in labelling(cfg))]
        assert {part['data_root'] for part in moved} == {'elsewhere'}
        assert parts['labeled']['ann_file'] == 'mine/labeled.txt'


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
