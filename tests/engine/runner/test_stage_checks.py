"""Mistakes in a later stage that show before the first one starts."""

import re

import pytest
from mmengine.config import Config

from mmsemi.engine.runner.stage_checks import check_config, check_lists
from mmsemi.engine.runner.stage_runner import run_stages


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
    ],
)
def test_mixture_that_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_config(training(**changes), 'w')


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
