"""Mistakes in a later stage that show before the first one starts."""

import re

import pytest
from mmengine.config import Config

from mmsemi.engine.runner.placeholders import Reference
from mmsemi.engine.runner.stage_checks import (
    check_config,
    check_label_folders,
    check_labels,
    check_lists,
)
from mmsemi.engine.runner.stage_runner import run_stages
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore


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
    rest = dict(model={}, train_cfg={}, optim_wrapper={})
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
        (
            dict(max_iters=9, max_iter=3),
            [],
            "w: train_cfg has the unknown key 'max_iter'; IterBasedTrainLoop knows [",
        ),
        (
            dict(max_iters=20),
            [dict(type='LinearLR', end=30), dict(type='PolyLR', begin=30)],
            'w: the schedule PolyLR begins at 30, but ends at 20: train longer',
        ),
        (
            dict(max_iters=20),
            dict(type='PolyLR', begin=5, end=5),
            'PolyLR begins at 5, but ends at 5',
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


def test_ground_truth_in_the_place_of_labels(tmp_path):
    key = 'train_dataloader.dataset.pseudo.data_prefix.seg_map_path'
    value = '{work_dir}/one/pseudo_labels'
    reads = [Reference(key, value, '{work_dir}', 'one', '')]

    def check(given: str) -> None:
        prefix = dict(img_path='images', seg_map_path=given)
        part = dict(data_root=str(tmp_path), data_prefix=prefix)
        check_labels(dict(train_dataloader=dict(dataset=dict(pseudo=part))), reads, 'w')

    check(value)
    check('{work_dir}/two/pseudo_labels')
    (tmp_path / 'masks').mkdir()
    message = f"w: {key}='masks' takes the place of the labels of stage 'one', but "
    with pytest.raises(ValueError, match=re.escape(f'{message}{tmp_path}/masks has')):
        check('masks')
    PseudoLabelStore(tmp_path / 'labels', {}, [])
    check('labels')


@pytest.mark.parametrize('kind', ['PseudoLabel', 'AffinityLabel', 'RandomWalk'])
def test_folder_for_labels_that_holds_others(kind, read, tmp_path, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.engine.runner.stage_runner.train', train)
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks/a.png').write_text('a mask')
    hook = dict(type=f'mmsemi.{kind}Hook', out_dir=str(tmp_path / 'masks'))
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
    cfg = Config(dict(custom_hooks=[None, dict(type=f'{kind}Hook')]))
    with pytest.raises(ValueError, match=rf'{default} holds 1 files not written by'):
        check_label_folders(cfg, tmp_path)


def test_settings_of_labelling_before_the_first_stage(read, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.engine.runner.stage_runner.train', train)
    hook = dict(type='RandomWalkHook', dataset={}, cams='x', classes=['background'])
    for change, match in (
        (dict(beta=-1), "stage 'third': RandomWalkHook: .*beta=-1"),
        (dict(bta=1), "'bta'"),
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


def test_missing_list_of_a_later_stage(read, monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.engine.runner.stage_runner.train', train)
    key = 'stages.third.train_dataloader.dataset.ann_file'
    with pytest.raises(FileNotFoundError, match=r"stage 'third': .*gone.txt"):
        run_stages(read(options={key: 'gone.txt'}), again='…')
