"""Named parts, and what they refuse."""

import copy
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmsemi.datasets import MultiSourceDataset
from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.datasets.seeding import SeededIndex
from mmsemi.registry import DATASETS


@pytest.fixture
def cfg(tiny_dataloader, default_scope) -> dict:
    return tiny_dataloader['dataset']


def build(cfg: dict, **changes: object) -> MultiSourceDataset:
    return DATASETS.build(dict(copy.deepcopy(cfg), **changes))


def images(sample: dict) -> list[torch.Tensor]:
    return [branch['inputs'] for branch in sample.values()]


def test_index_counts_through_the_parts(cfg):
    dataset = build(cfg)
    assert (len(dataset), dataset.offsets) == (6, dict(labeled=0, unlabeled=2))
    names = [dataset.get_data_info(i)['img_path'][-5] for i in range(6)]
    assert names == list('abcdef')
    assert [list(dataset[i]) for i in (1, 2)] == [
        ['sup'],
        ['unsup_teacher', 'unsup_student'],
    ]
    assert dataset.metainfo['classes'] == ('sky', 'road', 'tree', 'car')
    for index in (-1, 6):
        with pytest.raises(IndexError, match=r'is outside 0 … 5'):
            dataset[index]


def test_sample_depends_on_its_seed_only_and_leaves_the_generators(cfg):
    dataset = build(cfg)
    for index in (0, 3):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        first = images(dataset[SeededIndex(index, 11)])
        state = torch.rand(1).item(), np.random.random(), random.random()
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        assert state == (torch.rand(1).item(), np.random.random(), random.random())
        again = images(dataset[SeededIndex(index, 11)])
        other = images(dataset[SeededIndex(index, 12)])
        assert all(map(torch.equal, first, again))
        assert not any(map(torch.equal, first, other))


def test_overlap_names_image_and_parts(cfg, tiny_images):
    (tiny_images / 'unlabeled.txt').write_text('c\n../images/b\n')
    match = r"image .*images/b\.jpg is in both 'labeled' and 'unlabeled'.*allow_overlap"
    with pytest.raises(ValueError, match=match):
        build(cfg)
    assert len(build(cfg, allow_overlap=True)) == 4


@pytest.mark.parametrize('part', ['labeled', 'unlabeled'])
def test_empty_and_missing_lists(cfg, tiny_images, part):
    path = tiny_images / f'{part}.txt'
    path.write_text('\n')
    with pytest.raises(ValueError, match=rf"list of '{part}' .*{part}\.txt is empty"):
        build(cfg)
    path.unlink()
    match = rf"list of '{part}' .*{part}\.txt does not exist.*make_splits"
    with pytest.raises(FileNotFoundError, match=match):
        build(cfg)


def test_empty_folder(cfg, tiny_images):
    cfg['labeled'].update(ann_file='', img_suffix='.tif')
    with pytest.raises(ValueError, match=r"part 'labeled' .* empty.*img_suffix"):
        build(cfg)


def test_missing_and_cut_files(cfg, tiny_images):
    for file, role in (
        ('masks/b.png', 'labeled mask'),
        ('images/d.jpg', 'unlabeled image'),
    ):
        path = tiny_images / file
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=rf'{role} {path} is truncated'):
            build(cfg)
        assert len(build(cfg, verify_files=False)) == 6
        path.unlink()
        with pytest.raises(FileNotFoundError, match=rf'{role} {path} does not exist'):
            build(cfg)
        path.write_bytes(whole)


def test_unlabelled_masks_may_be_missing(cfg, tiny_images):
    for name in 'cdef':
        (tiny_images / f'masks/{name}.png').unlink()
    dataset = build(cfg)
    assert 'gt_sem_seg' not in dataset[2]['unsup_student']['data_samples']


def write_mask(path, *values: int) -> None:
    mask = np.resize(np.array(values, dtype=np.uint8), (40, 48))
    Image.fromarray(mask).save(path)


def test_labels_outside_the_classes(cfg, tiny_images):
    write_mask(tiny_images / 'masks/a.png', 0, 3, 4, 7, 255)
    dataset = build(cfg)
    match = r'mask .*masks/a\.png holds the label\(s\) \[4, 7\], but the 4 .* 0 … 3'
    with pytest.raises(ValueError, match=match):
        dataset[0]
    dataset[1]


def test_reduce_zero_label(cfg, tiny_images):
    cfg['labeled']['reduce_zero_label'] = True
    write_mask(tiny_images / 'masks/a.png', 0, 1, 4, 255)
    write_mask(tiny_images / 'masks/b.png', 0, 1, 5)
    dataset = build(cfg)
    label = dataset[0]['sup']['data_samples'].gt_sem_seg.data
    assert label.unique().tolist() == [0, 3, 255]
    match = r'b\.png holds the label\(s\) \[4\] after reduce_zero_label'
    with pytest.raises(ValueError, match=match):
        dataset[1]


def test_plain_pipelines_are_checked_too(cfg, tiny_images):
    pipeline = cfg['labeled']['pipeline']
    cfg['labeled']['pipeline'] = [*pipeline[:-1], dict(type='PackSegInputs')]
    write_mask(tiny_images / 'masks/a.png', 9)
    dataset = build(cfg)
    assert set(dataset[1]) == {'inputs', 'data_samples'}
    with pytest.raises(ValueError, match=r'a\.png holds the label\(s\) \[9\]'):
        dataset[0]


def test_child_config_changes_one_field_of_one_part(tiny_dataloader, tmp_path):
    Config(dict(train_dataloader=tiny_dataloader)).dump(tmp_path / 'base.py')
    (tmp_path / 'child.py').write_text(
        "_base_ = './base.py'\n"
        'train_dataloader = dict('
        "dataset=dict(labeled=dict(ann_file='other.txt')))\n"
    )
    child = Config.fromfile(tmp_path / 'child.py').train_dataloader.to_dict()
    tiny_dataloader['dataset']['labeled']['ann_file'] = 'other.txt'
    expected = Config(dict(x=tiny_dataloader)).x.to_dict()
    assert child == expected


def test_no_part_and_misspelt_options(cfg):
    with pytest.raises(ValueError, match='has no part: name at least one'):
        MultiSourceDataset()
    with pytest.raises(TypeError, match=r'got verify=False: .*allow_overlap and ver'):
        build(cfg, verify=False)


def test_masks_that_do_not_fit(cfg, tiny_images):
    Image.new('L', (47, 40)).save(tiny_images / 'masks/b.png')
    match = r'labeled mask .*masks/b\.png is 40x47 .* images/b\.jpg 40x48'
    with pytest.raises(ValueError, match=match.replace(' images', ' .*images')):
        build(cfg)
    assert len(build(cfg, verify_files=False)) == 6
    Image.new('RGB', (48, 40)).save(tiny_images / 'masks/b.png')
    with pytest.raises(ValueError, match=r'masks/b\.png is a picture of mode RGB'):
        build(cfg)


def test_repeated_and_blank_lines(cfg, tiny_images):
    path = tiny_images / 'labeled.txt'
    path.write_text('a\nb\na\n')
    match = r"image .*images/a\.jpg is twice in 'labeled': .*allow_overlap"
    with pytest.raises(ValueError, match=match):
        build(cfg)
    assert len(build(cfg, allow_overlap=True)) == 7
    path.write_text('a\n\nb\n')
    with pytest.raises(FileNotFoundError, match='the list has a blank line'):
        build(cfg)


def test_split_and_data_root_are_said_once(cfg, tiny_images):
    """They fill what a part does not say; ``labeled`` has a list of its own."""
    (tiny_images / 'half').mkdir()
    for name, ids in dict(labeled='b', unlabeled='c', weak='de', more='f').items():
        (tiny_images / f'half/{name}.txt').write_text('\n'.join(ids) + '\n')
    for part in ('labeled', 'unlabeled'):
        del cfg[part]['ann_file'], cfg[part]['data_root']
    weak = dict(cfg['unlabeled'], subset='weak')
    own = dict(cfg['unlabeled'], ann_file='half/more.txt', subset='weak')

    def names(**changes) -> str:
        dataset = build(cfg, **dict(split='half', data_root=str(tiny_images)) | changes)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return ''.join(info['img_path'][-5] for info in infos)

    before = copy.deepcopy(cfg)
    assert names() == 'bc'
    # a list of the part's own counts
    assert names(weak=weak, own=own) == 'bcdef'
    assert names(labeled=dict(cfg['labeled'], ann_file='labeled.txt')) == 'abc'
    # an empty one is the folder's, also without the split
    whole = dict(cfg['unlabeled'], ann_file='', data_root=str(tiny_images))
    assert names(unlabeled=whole, allow_overlap=True) == 'babcdef'
    assert cfg == before
    match = r"list of 'unlabeled' .*/gone/unlabeled\.txt does not exist.*make_splits"
    labeled = dict(cfg['labeled'], ann_file='labeled.txt')
    with pytest.raises(FileNotFoundError, match=match):
        names(split='gone', labeled=labeled)


def test_split_inside_other_data_sets(cfg, tiny_images):
    """Each of the data sets joined to a part may take another list of the split."""
    (tiny_images / 'half/sub').mkdir(parents=True)
    for name, ids in {'labeled': 'b', 'unlabeled': 'cd', 'sub/labeled': 'ef'}.items():
        (tiny_images / f'half/{name}.txt').write_text('\n'.join(ids) + '\n')
    for part in ('labeled', 'unlabeled'):
        del cfg[part]['ann_file'], cfg[part]['data_root']
    labeled, unlabeled = cfg['labeled'], cfg['unlabeled']
    joined = dict(
        type='ConcatDataset',
        datasets=[
            dict(labeled, subset='labeled'),
            dict(type='RepeatDataset', times=2, dataset=unlabeled),
            dict(labeled, subset='sub/labeled'),
        ],
    )
    filled = fill_parts(dict(x=joined), 'half', 'root')['x']
    assert set(filled) == {'type', 'datasets'}
    first, second, third = filled['datasets']
    assert set(second) == {'type', 'times', 'dataset'}
    found = [first, second['dataset'], third]
    assert [part['ann_file'] for part in found] == [
        'half/labeled.txt',
        'half/unlabeled.txt',
        'half/sub/labeled.txt',
    ]
    assert [part['data_root'] for part in found] == ['root'] * 3
    assert not any('subset' in part for part in found)
    assert 'subset' in joined['datasets'][0]
    # a subset of the whole is that of all its data sets
    joined['subset'], joined['datasets'] = 'sub/labeled', [dict(labeled)]
    assert fill_parts(dict(x=joined), 'half', None)['x']['datasets'] == [
        dict(labeled, ann_file='half/sub/labeled.txt')
    ]
    joined['datasets'] = [dict(labeled), dict(labeled, subset='labeled')]
    dataset = build(
        dict(type='MultiSourceDataset', labeled=joined),
        split='half',
        data_root=str(tiny_images),
    )
    infos = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    assert [path[-5] for path in infos] == list('efb')


def test_subset_is_of_a_split(cfg):
    """Without a split, a list or folder counts as before."""
    plain = fill_parts(cfg, None, None)
    assert plain == cfg
    assert fill_parts(dict(a=3, labeled=None), 'x', 'y') == dict(a=3, labeled=None)
