"""AVC's ToyVOC recipe in a few steps, and its tools; training masks are not there."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from mmsemi.datasets.toy import generate_toyvoc

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / 'configs/avc/avc_largefov_r38w16-d8_1xb8-demo_toyvoc-96x96.py'


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def read(folder):
    return {path.stem: np.array(Image.open(path)) for path in folder.glob('*.png')}


@pytest.mark.slow
def test_recipe_and_tools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, work = tmp_path / 'data/toyvoc', tmp_path / 'work'
    generate_toyvoc(data, num_train=12, num_val=2)
    for path in data.glob('Segmentation*/train*'):
        path.unlink()
    options = [
        '--cfg-options',
        'model.backbone.width=0.05',
        'stages.classify.model.head.in_channels=205',
        'stages.affinity.model.head.in_channels=[26,51,205]',
        'stages.segment.model.decode_head.in_channels=205',
        'train_cfg.max_iters=2',
        'stages.classify.train_cfg.max_iters=3',
        'param_scheduler.0.end=1',
        'param_scheduler.1.begin=1',
        'default_hooks.cams.scales=[1.0]',
        'default_hooks.cams.num_workers=0',
        'default_hooks.affinity_labels.num_workers=0',
        'default_hooks.pseudo_labels.num_workers=0',
    ]
    with DefaultScope.overwrite_default_scope('mmsemi'):
        tool('train')([str(RECIPE), '--work-dir', str(work), *options])
        # all is done: nothing is trained again
        tool('train')([str(RECIPE), '--work-dir', str(work), *options, '--resume'])
    for stage in ('classify', 'affinity', 'segment'):
        assert (work / stage / 'done.json').is_file()
    labels = read(work / 'affinity/pseudo_labels')
    assert len(labels) == 12
    tags = json.loads((data / 'tags.json').read_text())
    for name, label in labels.items():
        assert len(np.unique(label)) <= 1 + len(tags[name])
    listed = data / 'ImageSets/Segmentation/train.txt'
    images = ['--img-dir', str(data / 'JPEGImages'), '--list', str(listed)]
    images += ['--classes', 'ToyVOCDataset', '--workers', '0']
    with DefaultScope.overwrite_default_scope('mmsemi'):
        seeds = ['--tags', str(data / 'tags.json'), '--scales', '1']
        seeds += ['--normalize', 'max']
        seeds += ['--out-dir', str(tmp_path / 'cams')]
        checkpoint = str(work / 'classify/iter_3.pth')
        tool('make_cams')([str(RECIPE), checkpoint, *images, *seeds, *options])
        crf = 'iterations=10 gauss=3,3 bilateral=20,13,10'
        walk = ['--cams', str(tmp_path / 'cams'), '--crf', *crf.split()]
        walk += ['--threshold', '0.25', '--beta', '8', '--log-t', '3']
        walk += ['--out-dir', str(tmp_path / 'labels')]
        checkpoint = str(work / 'affinity/iter_2.pth')
        tool('random_walk')([str(RECIPE), checkpoint, *images, *walk, *options])
    for name in labels:
        one, other = (
            np.load(folder / f'{name}.npz')['cam']
            for folder in (tmp_path / 'cams', work / 'classify/cams')
        )
        np.testing.assert_allclose(one, other, atol=2e-3)
    again = read(tmp_path / 'labels')
    same = [(again[name] == label).mean() for name, label in labels.items()]
    assert min(same) > 0.99
