"""Data sets inside of wrappers, and what their transforms say of every image."""

import json

import pytest
from mmengine.dataset import Compose, ConcatDataset, RepeatDataset
from mmengine.registry import DefaultScope

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.transforms import LoadImageTags
from mmsemi.datasets.wrapped import check_images, inner_datasets
from mmsemi.registry import DATASETS


@pytest.fixture
def tagged(tiny_images):
    """Return ``build(list, names)``, images whose tags are loaded, some are there."""

    def build(listed, names):
        path = tiny_images / f'{listed}.json'
        path.write_text(json.dumps({name: ['car'] for name in names}))
        dataset = UnlabeledDataset(
            data_root=str(tiny_images),
            ann_file=f'{listed}.txt',
            data_prefix=dict(img_path='images'),
            pipeline=[],
        )
        step = LoadImageTags(format='file', path=str(path), classes=['car'])
        dataset.pipeline = Compose([step])
        return dataset

    return build


def test_inner_datasets(tagged):
    parts = [tagged('labeled', 'ab'), tagged('unlabeled', 'cdef')]
    assert list(inner_datasets(ConcatDataset(parts))) == parts
    assert list(inner_datasets(RepeatDataset(parts[0], 2))) == parts[:1]
    assert list(inner_datasets(parts[1])) == parts[1:]
    assert list(inner_datasets([1, 2])) == [[1, 2]]


def test_every_image_is_looked_at(tagged):
    check_images(tagged('unlabeled', 'cdef'))
    check_images([1, 2])
    with pytest.raises(ValueError, match="no tags of the image 'd'"):
        check_images(tagged('unlabeled', 'cef'))
    part = ConcatDataset([tagged('labeled', 'ab'), tagged('unlabeled', 'cde')])
    with DefaultScope.overwrite_default_scope('mmsemi'):
        with pytest.raises(ValueError, match="no tags of the image 'f'"):
            DATASETS.build(dict(type='MultiSourceDataset', weak=part))
        DATASETS.build(dict(type='MultiSourceDataset', weak=part, verify_files=False))
