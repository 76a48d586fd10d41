import json

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset

from mmsemi.datasets import MultiSourceDataset, UnlabeledDataset
from mmsemi.labeling.images import (
    images_to_label,
    part_images,
    refuse_labeled,
    tags_to_label,
)
from mmsemi.labeling.images import test_pipeline as inference_pipeline
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore


def config(**loaders) -> Config:
    return Config({k: dict(dataset=dict(pipeline=v)) for k, v in loaders.items()})


def test_images_are_loaded_as_those_of_the_test(tiny_images, default_scope):
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(24, 24), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='LoadImageTags', format='masks', classes=list('wxyz')),
        dict(type='PackSegInputs'),
    ]
    plain = [steps[0], steps[4]]
    without = [*steps[:2], steps[4]]
    assert inference_pipeline(config(test_dataloader=steps)) == without
    assert inference_pipeline(config(val_dataloader=steps)) == without
    assert inference_pipeline(Config()) == plain
    cfg = dict(data_root=str(tiny_images), data_prefix=dict(img_path='images'))
    dataset = images_to_label(cfg, config(val_dataloader=steps))
    assert isinstance(dataset, UnlabeledDataset)
    assert dataset[0]['inputs'].shape == (3, 20, 24)
    own = images_to_label(cfg | dict(pipeline=plain), config(val_dataloader=steps))
    assert own[0]['inputs'].shape == (3, 40, 48)
    assert 'pipeline' not in cfg


def test_only_unlabeled_images(default_scope):
    with pytest.raises(ValueError, match='come as BaseSegDataset: take Unlabeled'):
        images_to_label(dict(type='BaseSegDataset'), Config())


def part(tiny_images, name: str, **changes) -> BaseSegDataset:
    cfg = dict(
        data_root=str(tiny_images),
        ann_file=f'{name}.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
    )
    return BaseSegDataset(**cfg | changes)


@pytest.mark.parametrize('kind', ['plain', 'sources', 'concat', 'repeat'])
def test_images_with_true_labels(kind, tiny_list, tiny_images):
    labeled, free = part(tiny_images, 'labeled'), tiny_list('unlabeled')
    training = dict(
        plain=labeled,
        sources=MultiSourceDataset(labeled=labeled, unlabeled=free),
        concat=ConcatDataset([labeled, labeled]),
        repeat=RepeatDataset(labeled, 3),
    )[kind]
    refuse_labeled(free, training)
    message = r'all.txt: 2 of the 6 images to label .*/a.jpg: take them off'
    with pytest.raises(ValueError, match=message):
        refuse_labeled(tiny_list('all'), training)


def test_links_are_followed(tiny_list, tiny_images):
    (tiny_images / 'linked').symlink_to(tiny_images / 'images')
    training = part(
        tiny_images, 'labeled', data_prefix=dict(img_path='linked', seg_map_path='m')
    )
    with pytest.raises(ValueError, match='2 of the 6'):
        refuse_labeled(tiny_list('all'), training)


def test_images_with_pseudo_labels_may_be_labelled_again(tiny_list, tiny_images):
    folder = tiny_images / 'pseudo'
    PseudoLabelStore(folder, dict(classes=[]), [])
    prefix = dict(img_path='images', seg_map_path='pseudo')
    training = MultiSourceDataset(
        labeled=part(tiny_images, 'labeled'),
        pseudo=part(tiny_images, 'unlabeled', data_prefix=prefix),
        verify_files=False,
    )
    refuse_labeled(tiny_list('unlabeled'), training)
    with pytest.raises(ValueError, match='2 of the 6'):
        refuse_labeled(tiny_list('all'), training)


def test_data_sets_that_know_no_files(tiny_list):
    refuse_labeled(tiny_list('all'), [dict(inputs=torch.zeros(3))])


def write_tags(path, **tags):
    path.write_text(json.dumps(tags))
    return str(path)


def test_tags_are_in_the_order_of_the_images(tiny_list, tiny_images, tmp_path):
    (tiny_images / 'mixed.txt').write_text('e\nc\nf\n')
    path = write_tags(
        tmp_path / 't.json', c=['x'], d=['y'], e=['y', 'z'], f=['x'], a=['z']
    )
    found = tags_to_label(path, tiny_list('mixed'), ['background', *'xyz'])
    # no image says whether it has background: all may
    assert found.tolist() == [[1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    folder = UnlabeledDataset(
        data_root=str(tiny_images),
        data_prefix=dict(img_path='images'),
        indices=[2, 4],
    )
    assert tags_to_label(path, folder, [*'xyz']).tolist() == [[1, 0, 0], [0, 1, 1]]


def test_tags_from_xmls(tiny_list, tmp_path):
    for name, objects in dict(c='xz', d='y', e='yy', f='z').items():
        nodes = ''.join(f'<object><name>{o}</name></object>' for o in objects)
        (tmp_path / f'{name}.xml').write_text(f'<annotation>{nodes}</annotation>')
    found = tags_to_label(str(tmp_path), tiny_list('unlabeled'), [*'xyz'])
    assert found.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ('tags', 'message'),
    [
        (dict(c='x', d='x', e='x'), r"no tags of the image 'f', but of 3 others"),
        (dict(c='x', d='x', e='x', f=''), r"'f', has no tag of a class"),
        (dict(c='x', d='x', e='x', f='w'), r"'f', has the tag 'w', which is none"),
        (dict(p='x', q='y'), 'none of the 2 images in .* is the file of another'),
    ],
)
def test_bad_tags(tags, message, tiny_list, tmp_path):
    path = write_tags(tmp_path / 't.json', **{k: [*v] for k, v in tags.items()})
    with pytest.raises(ValueError, match=message):
        tags_to_label(path, tiny_list('unlabeled'), [*'xyz'])


def test_images_of_nothing_but_background(tiny_list, tmp_path):
    path = write_tags(tmp_path / 't.json', c=['x'], d=['y'], e=[], f=['z'])
    classes = ['background', *'xyz']
    with pytest.raises(ValueError, match=r"'e', has no tag of a class.* allow_empty"):
        tags_to_label(path, tiny_list('unlabeled'), classes)
    found = tags_to_label(path, tiny_list('unlabeled'), classes, allow_empty=True)
    assert found[2].tolist() == [1, 0, 0, 0]
    # no class would be left, or all
    with pytest.raises(ValueError, match=r't\.json has no tag at all for .*e\.'):
        tags_to_label(path, tiny_list('unlabeled'), [*'xyz'], allow_empty=True)


def test_no_tags(tiny_list, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no tag file .*t\.json'):
        tags_to_label(str(tmp_path / 't.json'), tiny_list('all'), [*'xyz'])
    with pytest.raises(ValueError, match='knows no names of classes'):
        tags_to_label(str(tmp_path), tiny_list('all'), None)


def with_parts(**dataset) -> Config:
    return Config(dict(train_dataloader=dict(dataset=dict(dataset))))


def test_images_of_a_part():
    """Where they are, and neither masks nor what the training does to them."""
    part = dict(
        type='BaseSegDataset',
        data_root='data',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png',
        ann_file='some.txt',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    wanted = dict(
        data_root='data',
        data_prefix=dict(img_path='images'),
        img_suffix='.png',
        ann_file='some.txt',
    )
    cfg = with_parts(type='MultiSourceDataset', split='1-8', labeled=part, bare={})
    assert part_images(cfg, 'labeled') == wanted
    assert part_images(cfg, 'bare') == dict(ann_file='1-8/unlabeled.txt')
    assert part_images(with_parts(bare={}), 'bare') == {}
    assert cfg.train_dataloader.dataset.labeled == part


@pytest.mark.parametrize(
    ('part', 'known', 'listed'),
    [
        ('labeled', {}, '1-8/labeled.txt'),
        ('unlabeled', {}, '1-8/unlabeled.txt'),
        ('pseudo', {}, '1-8/unlabeled.txt'),
        ('pseudo', dict(subset='reliable'), '1-8/reliable.txt'),
        ('labeled', dict(subset='rest'), '1-8/rest.txt'),
        ('labeled', dict(ann_file=''), ''),
    ],
)
def test_list_of_a_part(part, known, listed):
    cfg = with_parts(split='1-8', **{part: known})
    assert part_images(cfg, part)['ann_file'] == listed


def test_suffix_of_the_data_sets_class():
    """A list of Cityscapes' images has names without their suffix."""
    city = dict(type='CityscapesDataset', data_prefix=dict(img_path='leftImg8bit'))
    found = part_images(with_parts(pseudo=city), 'pseudo')
    assert found['img_suffix'] == '_leftImg8bit.png'
    given = part_images(with_parts(pseudo=dict(city, img_suffix='.jpg')), 'pseudo')
    assert given['img_suffix'] == '.jpg'


def test_part_that_is_no_list():
    cfg = with_parts(labeled={}, both=dict(type='ConcatDataset', datasets=[{}, {}]))
    with pytest.raises(ValueError, match="part='both' is a ConcatDataset of other"):
        part_images(cfg, 'both')
    with pytest.raises(ValueError, match=r"'x', but .* has the parts \['labeled', 'b"):
        part_images(cfg, 'x')
    with pytest.raises(ValueError, match=r"part='x', but .* has the parts \[\]"):
        part_images(Config(), 'x')
