"""Tags on their way into the batch, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from PIL import Image

from mmsemi.datasets import LoadImageTags, branch_collate
from mmsemi.registry import DATASETS, MODELS

CLASSES = ('sky', 'road', 'tree', 'car')
VOC = ('background', 'cat', 'dog')


def masks_of(root: Path) -> dict[str, set[int]]:
    return {
        path.stem: set(np.unique(np.array(Image.open(path))).tolist()) - {255}
        for path in sorted((root / 'masks').iterdir())
    }


@pytest.fixture
def tagged(tiny_images: Path) -> Path:
    """The tiny data set with ``tags.json``."""
    tags = {
        name: [CLASSES[c] for c in labels]
        for name, labels in masks_of(tiny_images).items()
    }
    (tiny_images / 'tags.json').write_text(json.dumps(tags))
    return tiny_images


def load(root: Path, name: str = 'a', mask: np.ndarray | None = None, **kwargs):
    options = dict(format='file', path=str(root / 'tags.json'), classes=CLASSES)
    results = dict(img_path=str(root / f'images/{name}.jpg'), ori_shape=(40, 48))
    if mask is not None:
        results['gt_seg_map'] = mask
    return LoadImageTags(**options | kwargs)(results)['gt_tags']


def test_file(tagged):
    for name, labels in masks_of(tagged).items():
        assert set(np.flatnonzero(load(tagged, name)).tolist()) == labels
    assert load(tagged).dtype == bool


def test_masks_from_a_folder_and_as_loaded(tagged):
    folder = str(tagged / 'masks')
    for name, labels in masks_of(tagged).items():
        tags = load(tagged, name, format='masks', path=folder)
        assert set(np.flatnonzero(tags).tolist()) == labels
    mask = np.full((40, 48), 2, np.uint8)
    mask[0, 0] = 255
    tags = load(tagged, mask=mask, format='masks', path=None)
    assert tags.tolist() == [False, False, True, False]


def test_reduce_zero_label(tmp_path):
    (tmp_path / 'm').mkdir()
    mask = np.array([[0, 1, 3, 255]], np.uint8)
    Image.fromarray(mask).save(tmp_path / 'm/a.png')
    tags = load(
        tmp_path,
        format='masks',
        path=str(tmp_path / 'm'),
        classes=VOC,
        reduce_zero_label=True,
    )
    # void is background where there is one
    assert tags.tolist() == [True, False, True]


def test_voc_in_subfolders(tmp_path):
    (tmp_path / 'xml/x').mkdir(parents=True)
    xml = '<annotation><object><name>dog</name></object></annotation>'
    (tmp_path / 'xml/x/a.tags').write_text(xml)
    loader = LoadImageTags(
        format='voc',
        path=str(tmp_path / 'xml'),
        classes=VOC,
        img_folder=str(tmp_path / 'images'),
        img_suffix='_rgb.png',
        suffix='.tags',
    )
    results = loader(dict(img_path=str(tmp_path / 'images/x/a_rgb.png')))
    assert results['gt_tags'].tolist() == [True, False, True]


def test_crop_keeps_the_tags_of_the_whole_image(tagged, default_scope):
    """Through the pipelines, the collation and the preprocessor, with its device."""
    tags = dict(
        type='LoadImageTags',
        format='file',
        path=str(tagged / 'tags.json'),
        classes=CLASSES,
    )
    part = dict(
        data_root=str(tagged),
        data_prefix=dict(img_path='images'),
        metainfo=dict(classes=CLASSES),
    )
    crop = dict(type='RandomCrop', crop_size=(8, 8))
    weak = DATASETS.build(
        dict(
            type='UnlabeledDataset',
            ann_file='unlabeled.txt',
            pipeline=[
                dict(type='LoadImageFromFile'),
                tags,
                crop,
                dict(type='MultiBranch', weak=[dict(type='PackSemiInputs')]),
            ],
            **part,
        )
    )
    preprocessor = MODELS.build(
        ConfigDict(
            type='MultiBranchDataPreprocessor',
            data_preprocessor=dict(type='SegDataPreProcessor', size=(9, 9)),
        )
    )
    # as a model's to() does it
    preprocessor.data_preprocessor.to('meta')
    # nothing of the masks is needed
    for path in (tagged / 'masks').iterdir():
        path.unlink()
    batch = branch_collate([weak[i] for i in range(4)])
    expected = [load(tagged, name).tolist() for name in 'cdef']
    found = [sample.gt_tags.item.tolist() for sample in batch['data_samples']['weak']]
    assert found == expected
    samples = preprocessor(batch, True)['data_samples']['weak']
    for sample in samples:
        assert sample.gt_tags.item.device == torch.device('meta')
        assert sample.gt_tags.item.dtype == torch.bool


@pytest.mark.parametrize('mask_class', [1, 3])
def test_mask_contradicts_the_tags(tagged, mask_class):
    (tagged / 'tags.json').write_text('{"a": ["sky", "road"]}')
    mask = np.zeros((40, 48), np.uint8)
    mask[3, 4], mask[5] = mask_class, 255
    if mask_class == 1:
        load(tagged, mask=mask)
        return
    with pytest.raises(
        ValueError, match=r"a\.jpg has pixels of \['car'\], which .*tag"
    ):
        load(tagged, mask=mask)
    assert load(tagged, mask=mask, check_mask=False).tolist() == [1, 1, 0, 0]


def test_mask_with_a_label_that_is_no_class(tagged):
    mask = np.full((40, 48), 255, np.uint8)
    mask[0] = 100
    with pytest.raises(
        ValueError, match=r'the mask of .* holds the label\(s\) \[100\]'
    ):
        load(tagged, mask=mask)
    assert load(tagged, mask=np.full_like(mask, 255)).any()


def test_tag_without_pixels_is_no_contradiction(tagged):
    """Small and hidden objects are void in many masks."""
    assert load(tagged, mask=np.zeros((40, 48), np.uint8)).sum() > 1


def test_file_of_another_data_set(tagged):
    (tagged / 'tags.json').write_text('{"z": ["car"], "y": ["sky"]}')
    message = "has no tags of the image 'a', but of 2 others, e.g. 'z': is it the file"
    with pytest.raises(ValueError, match=message):
        load(tagged)
    with pytest.raises(
        ValueError, match=r'none of the 2 images in .* another data set'
    ):
        load(tagged, img_folder=str(tagged / 'images'))
    (tagged / 'tags.json').write_text('{"b": ["car"], "y": ["sky"]}')
    loader = LoadImageTags(
        format='file',
        path=str(tagged / 'tags.json'),
        classes=CLASSES,
        img_folder=str(tagged / 'images'),
    )
    loader.check_image(str(tagged / 'images/b.jpg'))
    with pytest.raises(ValueError, match="no tags of the image 'a'"):
        loader.check_image(str(tagged / 'images/a.jpg'))
    (tagged / 'tags.json').write_text('{"b": []}')
    options = dict(format='file', path=str(tagged / 'tags.json'), classes=CLASSES)
    with pytest.raises(ValueError, match="image 'b', has no tag of a class"):
        LoadImageTags(**options).check_image(str(tagged / 'images/b.jpg'))
    LoadImageTags(**options, allow_empty=True).check_image(str(tagged / 'b.jpg'))
    loader = LoadImageTags(format='voc', path=str(tagged / 'no'), classes=CLASSES)
    with pytest.raises(FileNotFoundError, match=r'no tags at .*no/b\.xml'):
        loader.check_image(str(tagged / 'images/b.jpg'))
    # masks are for the reports of simulations: none is opened
    loader = LoadImageTags(format='masks', path=str(tagged / 'no'), classes=CLASSES)
    loader.check_image(str(tagged / 'images/b.jpg'))


def test_image_without_tags(tagged):
    (tagged / 'tags.json').write_text('{"a": []}')
    with pytest.raises(ValueError, match="image 'a', has no tag of a class: add the"):
        load(tagged)
    with pytest.raises(ValueError, match='has no tag of a class'):
        load(tagged, classes=VOC)
    assert load(tagged, classes=VOC, allow_empty=True).tolist() == [True, False, False]


def test_tags_are_not_shared(tagged):
    loader = LoadImageTags(
        format='file', path=str(tagged / 'tags.json'), classes=CLASSES
    )
    results = dict(img_path='a.jpg')
    loader(results)['gt_tags'][:] = False
    assert loader(dict(img_path='a.jpg'))['gt_tags'].any()


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(format='xml'), r"format='xml': choose one of \['voc', 'masks', 'file'\]"),
        (dict(path=None), "format='file' needs a path"),
        (dict(classes='NoDataset'), "classes='NoDataset' names no classes"),
        (dict(format='masks', path=None), r"'masks' has neither a path nor the mask"),
        (dict(mask=np.zeros((8, 8), np.uint8)), 'after its size changed: put it right'),
    ],
)
def test_wrong_options(tagged, kwargs, match):
    with pytest.raises(ValueError, match=match):
        load(tagged, **kwargs)
