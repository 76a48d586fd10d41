"""Mistakes in a later stage that show before the first one starts."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.recipes.config import load_config
from mmsemi.recipes.preflight import (
    check_config,
    check_labelling,
    check_labels,
    check_lists,
)
from mmsemi.recipes.read import read_stages
from mmsemi.recipes.run import run_stages
from mmsemi.recipes.stage import Stage


def training(**loader) -> Config:
    parts = dict(labeled=dict(ann_file='a.txt'), pseudo=dict(ann_file='b.txt'))
    loader = (
        dict(
            batch_size=8,
            sampler=dict(num_per_source=dict(labeled=4, pseudo=4)),
            dataset=dict(type='MultiSourceDataset', **parts),
        )
        | loader
    )
    rest = dict(model={}, train_cfg=dict(max_iters=9), optim_wrapper={})
    return Config(dict(train_dataloader=loader, **rest))


def test_mixture():
    check_config(training(), 'w')
    check_config(training(sampler=dict(type='InfiniteSampler'), batch_size=3), 'w')
    check_config(training(sampler=None), 'w')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(batch_size=6), 'w: train_dataloader.batch_size = 6, but num_per_source'),
        (dict(batch_size=None), '.batch_size = None, but num_per_source = '),
        (
            dict(sampler=dict(num_per_source=dict(labeled=4, sudo=4))),
            "draws from 'sudo' (num_per_source = {'labeled': 4, 'sudo': 4}), but the "
            "parts of the data set are ['labeled', 'pseudo']",
        ),
        (dict(sampler=dict(num_per_source=[4, 4])), 'w: num_per_source = [4, 4]: '),
        (
            dict(sampler=dict(num_per_source=dict(labeled='4', pseudo=4))),
            "num_per_source = {'labeled': '4', 'pseudo': 4}: write how many images",
        ),
        (dict(sampler=dict(num_per_source=dict(labeled=8, pseudo=0))), "'pseudo': 0}"),
    ],
)
def test_mixture_that_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_config(training(**changes), 'w')


@pytest.mark.parametrize(
    ('loop', 'schedules', 'message'),
    [
        (dict(max_iters='x'), [], "w: train_cfg.max_iters = 'x': give an integer"),
        (dict(max_iters=4.5), [], 'train_cfg.max_iters = 4.5'),
        (dict(max_iters=0), [], 'train_cfg.max_iters = 0'),
        ({}, [], 'w: train_cfg has no length: give max_iters, or max_epochs'),
        (
            dict(max_iters=20),
            [dict(type='LinearLR', end=30), dict(type='PolyLR', begin=30)],
            'w: the schedule PolyLR begins at step 30, but ends at step 20 of 20: '
            'train longer, or give begin and end in param_scheduler as shares',
        ),
        (
            dict(max_iters=20),
            dict(type='PolyLR', begin=5, end=5),
            'PolyLR begins at step 5, but ends at step 5 of 20: train longer',
        ),
    ],
)
def test_length(loop, schedules, message):
    cfg = training()
    cfg.train_cfg = dict(loop, type='IterBasedTrainLoop')
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        schedule['by_epoch'] = False
    cfg.param_scheduler = schedules
    with pytest.raises(ValueError, match=re.escape(message)):
        check_config(cfg, 'w')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=31, val_interval=3)
    cfg.param_scheduler = [dict(type='PolyLR', begin=30, by_epoch=False)]
    check_config(cfg, 'w')


def test_epochs():
    """Those of a part may be a fraction; mmengine's may not, and never end on parts."""

    def check(kind: str, epochs: object, sampler: str = 'DefaultSampler') -> None:
        cfg = training()
        cfg.train_dataloader.sampler.type = sampler
        cfg.train_cfg = dict(type=kind, max_epochs=epochs)
        if 'MultiSource' in kind:
            cfg.train_cfg.epoch_of = 'pseudo'
        check_config(cfg, 'w')

    for epochs in (3, 2.5, 0.1):
        check('MultiSourceTrainLoop', epochs, 'MultiSourceSampler')
        check('mmsemi.MultiSourceTrainLoop', epochs, 'MultiSourceSampler')
    for kind, epochs in (
        ('MultiSourceTrainLoop', 0.0),
        ('MultiSourceTrainLoop', -1.5),
        ('MultiSourceTrainLoop', '3'),
        ('EpochBasedTrainLoop', 2.5),
    ):
        match = re.escape(f'w: train_cfg.max_epochs = {epochs!r}: give an integer abov')
        with pytest.raises(ValueError, match=match):
            check(kind, epochs)
    check('EpochBasedTrainLoop', 3)
    message = (
        'w: EpochBasedTrainLoop waits for the end of an epoch, but MultiSourceSampler '
        "draws endlessly: count the epochs of one part, train_cfg=dict(type='"
        "MultiSourceTrainLoop', max_epochs=3, epoch_of='pseudo'), or give max_iters"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check('EpochBasedTrainLoop', 3, 'MultiSourceSampler')


CONFIGS = Path(__file__).parents[2] / 'configs'
DEMO = dict(
    plain='u2pl/u2pl_deeplabv3plus_r18w32-d16_1xb16-demo_toyvoc-96x96.py',
    recipe='baselines/st_deeplabv3plus_r18w32-d16_1xb8-demo_toyvoc-96x96.py',
)


def read_demo(form: str, options: dict) -> list[Stage]:
    cfg = load_config(str(CONFIGS / DEMO[form]))
    return read_stages(cfg, 'work', options)


@pytest.mark.parametrize('form', ['plain', 'recipe'])
@pytest.mark.parametrize('length', [20, 40, 100])
def test_demo_of_another_length(form, length):
    """Warm-ups, schedules and intervals follow."""
    for stage in read_demo(form, {'train_cfg.max_iters': length}):
        check_config(stage.raw, 'w')
        assert stage.raw.train_cfg.max_iters == length


@pytest.mark.parametrize('form', ['plain', 'recipe'])
def test_demo_with_epochs_that_never_end(form):
    loop = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=2)
    with pytest.raises(ValueError, match=r': EpochBasedTrainLoop waits for the'):
        read_demo(form, {'train_cfg': loop})
    # also where the other keys of the loop stay
    with pytest.raises(ValueError, match=r': EpochBasedTrainLoop waits for the'):
        read_demo(form, {'train_cfg.type': 'EpochBasedTrainLoop'})


def test_epochs_of_a_part_that_is_not_drawn_from():
    cfg = training()
    cfg.train_cfg = dict(type='MultiSourceTrainLoop', max_epochs=2, epoch_of='pseud')
    message = "epochs of the part 'pseud', but the training draws from ['labeled', 'ps"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_config(cfg, 'w')
    cfg.train_cfg.update(epoch_of=['pseudo'], repeat='labelled')
    with pytest.raises(ValueError, match="the part 'labelled'"):
        check_config(cfg, 'w')


def test_shares_that_the_loop_would_take_for_steps():
    cfg = training()
    cfg.param_scheduler = [dict(type='LinearLR', end=0.03, by_epoch=False)]
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=100)
    message = (
        r"LinearLR.end=0.03 is a share .* set train_cfg.type='MultiSourceTrainLoop'"
    )
    with pytest.raises(ValueError, match=message):
        check_config(cfg, 'w')
    cfg.train_cfg.type = 'MultiSourceTrainLoop'
    check_config(cfg, 'w')


def test_ground_truth_in_the_place_of_labels(tmp_path):
    key = 'train_dataloader.dataset.pseudo.data_prefix.seg_map_path'
    value = '{work_dir}/one/pseudo_labels'

    def config(masks: str) -> dict:
        prefix = dict(img_path='images', seg_map_path=masks)
        part = dict(data_root=str(tmp_path), data_prefix=prefix)
        return dict(train_dataloader=dict(dataset=dict(pseudo=part)))

    def check(given: str) -> None:
        check_labels(config(value), config(given), 'w')

    check(value)
    check('{work_dir}/two/pseudo_labels')
    (tmp_path / 'masks').mkdir()
    message = f"w: {key}='masks' takes the place of the labels of stage 'one', but "
    with pytest.raises(ValueError, match=re.escape(f'{message}{tmp_path}/masks has')):
        check('masks')
    PseudoLabelStore(tmp_path / 'labels', {}, [])
    check('labels')


def labels(kind: str, **settings) -> dict:
    """Return a hook that labels, with what it must be given."""
    if 'Pseudo' not in kind:
        settings |= dict(cams='x', classes=['background'])
    return dict(type=f'{kind}Hook', dataset={}, **settings)


@pytest.mark.parametrize('kind', ['PseudoLabel', 'AffinityLabel', 'RandomWalk'])
def test_folder_for_labels_that_holds_others(kind, read, tmp_path, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.recipes.run.train', train)
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks/a.png').write_text('a mask')
    hook = labels(f'mmsemi.{kind}', out_dir=str(tmp_path / 'masks'))
    with pytest.raises(ValueError, match=r'masks holds 1 files not written by this'):
        run_stages(read(options={'stages.third.custom_hooks': [hook]}), again='…')


@pytest.mark.parametrize(
    ('kind', 'default'),
    [
        ('PseudoLabel', 'pseudo_labels'),
        ('RandomWalk', 'pseudo_labels'),
        ('AffinityLabel', 'affinity_labels'),
    ],
)
def test_default_folder_for_labels_that_holds_others(kind, default, tmp_path):
    (tmp_path / default).mkdir()
    (tmp_path / default / 'a.png').write_text('a mask')
    for hooks in (
        dict(custom_hooks=[None, labels(kind)]),
        dict(default_hooks=dict(pseudo_labels=labels(kind), logger=None)),
    ):
        with pytest.raises(ValueError, match=rf'{default} holds 1 files not written'):
            check_labelling(Config(hooks), tmp_path, 'w')


def test_settings_of_labelling_before_the_first_stage(read, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.recipes.run.train', train)
    hook = dict(type='RandomWalkHook', dataset={}, cams='x', classes=['background'])
    for change, match in (
        (dict(beta=-1), "stage 'third': custom_hooks.0: RandomWalkHook: .*beta=-1"),
        (dict(bta=1), "(?s)stage 'third'.*hooks.0.bta is no .* did you mean beta?"),
    ):
        options = {'stages.third.custom_hooks': [dict(hook, **change)]}
        with pytest.raises(ValueError, match=match):
            run_stages(read(options=options), again='…')


def test_lists(tmp_path):
    (tmp_path / 'a.txt').write_text('a\n')
    cfg = training(dataset=dict(ann_file='a.txt', data_root=str(tmp_path)))
    later = dict(dataset=dict(ann_file='{work_dir}/one/reliable.txt', data_root='x'))
    cfg.custom_hooks = [later, dict(dataset=dict(ann_file='')), None]
    cfg.val_dataloader = dict(dataset=dict(ann_file='s3://bucket/val.txt'))
    cfg.pseudo = dict(ann_file='not-a-part.txt')
    check_lists(cfg, 'w')
    cfg.custom_hooks[1].dataset.ann_file = 'b.txt'
    message = 'w: the list b.txt (custom_hooks.1.dataset.ann_file) does not exist'
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        check_lists(cfg, 'w')
    cfg.custom_hooks = None
    cfg.default_hooks = dict(labels=dict(dataset=dict(ann_file='b.txt')), logger=None)
    with pytest.raises(FileNotFoundError, match=r'b.txt \(default_hooks.labels.dat'):
        check_lists(cfg, 'w')


def test_lists_of_a_split(tmp_path):
    (tmp_path / 'split').mkdir()
    (tmp_path / 'split/labeled.txt').write_text('a\n')
    parts = dict(labeled=dict(type='X'), pseudo=dict(type='X', data_root=str(tmp_path)))
    dataset = dict(type='MultiSourceDataset', split='split', **parts)
    cfg = training(dataset=dict(dataset, data_root=str(tmp_path)))
    message = (
        f'w: the list {tmp_path}/split/unlabeled.txt '
        '(train_dataloader.dataset.pseudo.ann_file) does not exist: correct ann_file '
        'or data_root, or make it with tools/make_splits.py'
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        check_lists(cfg, 'w')
    assert 'ann_file' not in cfg.train_dataloader.dataset.pseudo
    (tmp_path / 'split/unlabeled.txt').write_text('b\n')
    check_lists(cfg, 'w')


def test_missing_list_of_a_later_stage(read, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.recipes.run.train', train)
    key = 'stages.third.train_dataloader.dataset.ann_file'
    with pytest.raises(FileNotFoundError, match=r"stage 'third': .*gone.txt"):
        run_stages(read(options={key: 'gone.txt'}), again='…')
