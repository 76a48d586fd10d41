"""LPL's recipe reads VOC's layout, in both stages."""

import json

import numpy as np
import pytest
from PIL import Image

from mmsemi.recipes.config import load_config
from mmsemi.recipes.read import read_stages
from mmsemi.registry import DATASETS

pytestmark = pytest.mark.usefixtures('default_scope')


def test_voc_stages_build_without_the_masks_of_the_weak_images(
    leaves, tmp_path, monkeypatch
):
    """Images a, b and c of VOC's layout; a alone has a mask."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data/VOCdevkit/VOC2012'
    split = root / 'split'
    labels = tmp_path / 'work/lpl/pseudo_labels'
    for folder in (split, labels, root / 'JPEGImages'):
        folder.mkdir(parents=True)
    (root / 'SegmentationClassAug').mkdir()
    for name in 'abc':
        picture = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
        picture.save(root / f'JPEGImages/{name}.jpg')
        where = root / 'SegmentationClassAug' if name == 'a' else labels
        Image.fromarray(np.full((48, 64), 3, np.uint8)).save(where / f'{name}.png')
    (split / 'labeled.txt').write_text('a\n')
    (split / 'unlabeled.txt').write_text('b\nc\n')
    tags = dict(a=['bird'], b=['bird', 'cat'], c=['dog'])
    (root / 'tags.json').write_text(json.dumps(tags))
    chosen = ('lpl', 'voc12aug-classic-92')
    leaf = next(x for x in leaves if (x.name['method'], x.name['data']) == chosen)
    # where the configs look for it
    options = {'train_dataloader.dataset.split': 'split'}
    stages = read_stages(load_config(str(leaf.path)), str(tmp_path / 'work'), options)
    first, second = (
        DATASETS.build(
            stage.config(
                {'{work_dir}': str(tmp_path / 'work')}
            ).train_dataloader.dataset
        )
        for stage in stages
    )
    assert {name: len(part) for name, part in first.sources.items()} == dict(
        labeled=1, weak=3
    )
    weak = [first[i]['weak']['data_samples'] for i in (1, 2, 3)]
    assert ['gt_sem_seg' in sample for sample in weak] == [True, False, False]
    # background, and the bird, cat, dog of the file
    found = [sample.gt_tags.item.nonzero().flatten().tolist() for sample in weak]
    assert found == [[0, 3], [0, 3, 8], [0, 12]]
    assert len(second) == 3 and len(second.metainfo['classes']) == 21
    for i in range(3):
        label = second[i]['data_samples'].gt_sem_seg.data
        assert set(label.unique().tolist()) <= {3, 255}
