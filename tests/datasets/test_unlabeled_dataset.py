"""Images, and never a mask."""

import shutil

import pytest
from PIL import Image

from mmsemi.datasets import UnlabeledDataset

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSemiInputs')]


def names(dataset: UnlabeledDataset, root) -> list[str]:
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    prefix = f'{root}/images/'
    assert all(path.startswith(prefix) for path in paths)
    return [path[len(prefix) :] for path in paths]


def test_list_and_no_mask(tiny_images, default_scope):
    shutil.rmtree(tiny_images / 'masks')
    dataset = UnlabeledDataset(
        data_root=str(tiny_images),
        data_prefix=dict(img_path='images'),
        ann_file='unlabeled.txt',
        pipeline=PIPELINE,
    )
    assert names(dataset, tiny_images) == ['c.jpg', 'd.jpg', 'e.jpg', 'f.jpg']
    assert all('seg_map_path' not in dataset.get_data_info(i) for i in range(4))
    sample = dataset[0]
    assert tuple(sample['inputs'].shape) == (3, 40, 48)
    assert 'gt_sem_seg' not in sample['data_samples']


def test_folder_takes_every_image_below_it(tiny_images):
    folder = tiny_images / 'images'
    (folder / 'sub').mkdir()
    Image.new('RGB', (4, 4)).save(folder / 'sub/x.PNG')
    Image.new('RGB', (4, 4)).save(folder / 'y.tif')
    (folder / 'notes.txt').write_text('no image')
    (folder / '._a.jpg').write_text('beside a.jpg on a Mac')
    jpg = [f'{name}.jpg' for name in 'abcdef']
    for suffix, expected in (
        (None, [*jpg, 'sub/x.PNG', 'y.tif']),
        ('.jpg', jpg),
        (['.png', '.TIF'], ['sub/x.PNG', 'y.tif']),
    ):
        dataset = UnlabeledDataset(
            data_root=str(tiny_images),
            data_prefix=dict(img_path='images'),
            img_suffix=suffix,
        )
        assert names(dataset, tiny_images) == expected


def test_list_with_suffixes(tiny_images):
    (tiny_images / 'mixed.txt').write_text('b.jpg\n\nsub/x.PNG\n')
    dataset = UnlabeledDataset(
        data_root=str(tiny_images),
        data_prefix=dict(img_path='images'),
        ann_file='mixed.txt',
        img_suffix='',
    )
    assert names(dataset, tiny_images) == ['b.jpg', 'sub/x.PNG']


def test_messages(tiny_images, tmp_path):
    root = str(tiny_images)
    prefix = dict(img_path='images')
    (tiny_images / 'none.txt').write_text('\n')
    for error, match, kwargs in (
        (FileNotFoundError, r'list .*no\.txt does not exist', dict(ann_file='no.txt')),
        (ValueError, r'no unlabelled image in .*none', dict(ann_file='none.txt')),
        (ValueError, r"no unlabelled .*images'.*\.bmp", dict(img_suffix='.bmp')),
        (
            ValueError,
            r"list all\.txt and the suffixes \['\.jpg', '\.png'\]",
            dict(ann_file='all.txt', img_suffix=('.jpg', '.png')),
        ),
    ):
        with pytest.raises(error, match=match):
            UnlabeledDataset(data_root=root, data_prefix=prefix, **kwargs)
    with pytest.raises(ValueError, match=r'has LoadAnnotations: .*remove it'):
        UnlabeledDataset(
            data_root=root, data_prefix=prefix, pipeline=[dict(type='LoadAnnotations')]
        )
    with pytest.raises(FileNotFoundError, match=r'folder .*nowhere'):
        UnlabeledDataset(data_root=root, data_prefix=dict(img_path='nowhere'))
    with pytest.raises(ValueError, match=r"seg_map_path = 'masks': .*remove it"):
        UnlabeledDataset(data_prefix=dict(img_path='images', seg_map_path='masks'))
