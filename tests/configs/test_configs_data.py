"""The data set configs read the layouts of docs/datasets.md."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import FUNCTIONS
from PIL import Image

from mmsemi.recipes.read import read_stages
from mmsemi.registry import DATASETS

BASES = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
VOID = 255
# image, mask and list of a train image 'a', and what a mask of 0, 1, 2 and void
# becomes
LAYOUTS = {
    'voc12aug': (
        'JPEGImages/{}.jpg',
        'SegmentationClassAug/{}.png',
        'splits/classic/92',
        {0, 1, 2, VOID},
    ),
    'cityscapes': (
        'leftImg8bit/train/{}_leftImg8bit.png',
        'gtFine/train/{}_gtFine_labelTrainIds.png',
        'splits/186',
        {0, 1, 2, VOID},
    ),
    'ade20k': (
        'images/training/{}.jpg',
        'annotations/training/{}.png',
        'splits/1-16',
        {0, 1, VOID},
    ),
}

pytestmark = pytest.mark.usefixtures('default_scope')


def make_layout(root, image, mask, split):
    """Write the images aachen/a (labelled) and aachen/b, and their lists."""
    rng = np.random.default_rng(0)
    for name in ('aachen/a', 'aachen/b'):
        for path in (root / image.format(name), root / mask.format(name)):
            path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / image.format(name))
    label = np.repeat(np.uint8([0, 1, 2, VOID]), 16)[None].repeat(48, 0)
    Image.fromarray(label).save(root / mask.format('aachen/a'))
    for kind, name in (('labeled', 'aachen/a'), ('unlabeled', 'aachen/b')):
        path = root / split / f'{kind}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name + '\n')


@pytest.mark.parametrize('kind', LAYOUTS)
def test_bases_read_the_documented_layout(tmp_path, kind):
    image, mask, split, expected = LAYOUTS[kind]
    make_layout(tmp_path, image, mask, split)
    for file in (f'{kind}.py', f'semi_{kind}.py'):
        cfg = Config.fromfile(BASES / file)
        parts = cfg.train_dataloader.dataset
        parts.data_root = str(tmp_path)
        dataset = DATASETS.build(parts)
        sample = dataset[0]
        labels = sample.get('sup', sample)['data_samples'].gt_sem_seg.data
        # the crop may miss a class, but never finds one that is not there
        assert set(torch.unique(labels).tolist()) <= expected
        assert labels.shape[-2] <= cfg.crop_size[0]
        if file.startswith('semi_'):
            batch = FUNCTIONS.get('branch_collate')([sample, dataset[1]])
            assert set(batch['inputs']) == {'sup', 'unsup_teacher'}
            assert 'gt_sem_seg' not in batch['data_samples']['unsup_teacher'][0]
    assert len(dataset.metainfo['classes']) in (21, 19, 150)


def test_ade20k_leaves_out_the_zero_label(tmp_path):
    image, mask, split, _ = LAYOUTS['ade20k']
    make_layout(tmp_path, image, mask, split)
    cfg = Config.fromfile(BASES / 'semi_ade20k.py')
    parts = cfg.train_dataloader.dataset
    parts.data_root = str(tmp_path)
    steps = parts.labeled.pipeline
    parts.labeled.pipeline = steps[:2] + steps[-1:]
    label = DATASETS.build(parts)[0]['sup']['data_samples'].gt_sem_seg.data[0]
    # 0 ("other") and void are left out, class 1 becomes 0 and so on
    row = np.repeat([VOID, 0, 1, VOID], 16)
    np.testing.assert_array_equal(label, row[None].repeat(48, 0))


@pytest.mark.parametrize('kind', ['voc12aug', 'cityscapes'])
def test_last_stage_finds_the_labels_of_the_others(leaves, tmp_path, kind):
    """Labels have the name of the list's line, whatever the true masks are called."""
    image, mask, split, expected = LAYOUTS[kind]
    make_layout(tmp_path, image, mask, split)
    leaf = next(
        leaf
        for leaf in leaves
        if (leaf.name['method'], leaf.name['data'].split('-')[0]) == ('st', kind)
    )
    recipe = read_stages(Config.fromfile(leaf.path), str(tmp_path / 'work'))
    labels = tmp_path / 'work/supervised/pseudo_labels/aachen'
    labels.mkdir(parents=True)
    Image.fromarray(np.full((48, 64), 3, np.uint8)).save(labels / 'b.png')
    cfg = recipe[1].config({'{work_dir}': str(tmp_path / 'work')})
    parts = cfg.train_dataloader.dataset
    for place in (parts, parts.labeled, parts.pseudo):
        place.data_root = str(tmp_path)
    dataset = DATASETS.build({**parts, 'split': split})
    true, pseudo = (
        set(dataset[i]['data_samples'].gt_sem_seg.data.unique().tolist())
        for i in range(2)
    )
    assert true <= expected
    # void where the crop is larger than the image, and where it is cut out
    assert pseudo - {255} == {3}
