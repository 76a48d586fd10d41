"""Seeds of a list of images, also on several ranks."""

import json

import numpy as np
import pytest
import torch

from mmsemi.datasets import UnlabeledDataset
from mmsemi.labeling import seeds
from mmsemi.labeling.cam_store import CamStore
from mmsemi.labeling.seed_setup import seed_images, seed_tags
from mmsemi.labeling.seeds import make_cams
from mmsemi.registry import MODELS

NAMES = ['background', 'road', 'tree']
pytestmark = pytest.mark.usefixtures('default_scope')


@pytest.fixture
def images(tiny_images):
    return UnlabeledDataset(
        data_root=str(tiny_images),
        ann_file='all.txt',
        data_prefix=dict(img_path='images'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = MODELS.build(
        dict(
            type='AVC',
            backbone=dict(type='ResNet38', width=1 / 64),
            head=dict(type='CamHead', in_channels=64, num_classes=2),
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3
            ),
            consistency_weight=0,
        )
    )
    net.init_weights()
    return net.eval()


@pytest.fixture
def tags():
    rows = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1]] * 2).bool()
    rows[5, 1:] = False
    return rows


def open_store(folder):
    manifest = dict(sha256=['x'], settings={}, classes=NAMES, images={})
    return CamStore(folder, manifest)


def run(model, images, tags, folder):
    return make_cams(
        model, images, open_store(folder), tags, scales=[1.0], num_workers=0
    )


def test_seeds(model, images, tags, tmp_path):
    assert run(model, images, tags, tmp_path / 'a') == (6, 0)
    store = CamStore.load(tmp_path / 'a')
    for name, row in zip('abcdef', tags, strict=True):
        classes, maps = store.read(name)
        assert classes.tolist() == row[1:].nonzero()[:, 0].add(1).tolist()
        assert maps.shape == (len(classes), 40, 48)
        if len(classes):
            assert maps.max() == pytest.approx(1, abs=2e-3)
    # an image without any class has no map, and is not computed again
    assert run(model, images, tags, tmp_path / 'a') == (0, 6)


def test_damaged_file_is_made_anew(model, images, tags, tmp_path):
    run(model, images, tags, tmp_path / 'a')
    path = tmp_path / 'a/c.npz'
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert run(model, images, tags, tmp_path / 'a') == (1, 5)
    assert np.load(path)['cam'].shape == (2, 40, 48)


def test_ranks_share_the_images(model, images, tags, tmp_path, monkeypatch):
    run(model, images, tags, tmp_path / 'one')
    written = []
    for rank in (0, 1):
        monkeypatch.setattr(seeds, 'get_dist_info', lambda rank=rank: (rank, 2))
        written.append(run(model, images, tags, tmp_path / 'two'))
    # images 0, 2, 4, then 1, 3, 5
    assert written == [(3, 0), (3, 0)]
    for name in 'abcdef':
        one, two = (
            np.load(tmp_path / f'{k}/{name}.npz')['cam'] for k in ('one', 'two')
        )
        assert (one == two).all()


def test_errors(model, images, tags, tmp_path, tiny_images):
    with pytest.raises(ValueError, match=r'\(5, 3\) tags for 6 images and 3 classes'):
        run(model, images, tags[:5], tmp_path / 'a')
    path = tiny_images / 'tags.json'
    path.write_text(json.dumps({name: ['road'] for name in 'abcdef'}))
    with pytest.raises(ValueError, match=r"the first class is 'road', but seeds need"):
        seed_tags(str(path), images, ['road', 'tree'])
    with pytest.raises(ValueError, match=r"no image of the list has .*\['tree'\]"):
        seed_tags(str(path), images, NAMES)
    store = open_store(tmp_path / 'b')
    store.manifest['images'] = dict(number=3, sha256='other')
    with pytest.raises(ValueError, match=r'seeds of another list \(3 images; here'):
        seed_images(store, images)
