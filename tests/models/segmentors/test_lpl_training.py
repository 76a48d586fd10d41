"""LPL in a runner: tags on their way, masks that nobody opens, evaluation."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner, load_checkpoint
from PIL import Image

from mmsemi.registry import DATASETS, MODELS

CLASSES = ('sky', 'road', 'tree', 'car')


@pytest.fixture
def tagged(tiny_images: Path) -> Path:
    """The tiny data set with ``tags.json``, without the masks of the weak images."""
    tags = {}
    for path in sorted((tiny_images / 'masks').iterdir()):
        labels = np.unique(np.array(Image.open(path)))
        tags[path.stem] = [CLASSES[c] for c in labels if c != 255]
        if path.stem not in 'ab':
            path.unlink()
    (tiny_images / 'tags.json').write_text(json.dumps(tags))
    return tiny_images


@pytest.fixture
def config(tagged: Path, tiny_segmentor: dict, tmp_path: Path) -> dict:
    """3 steps on 2 strong + 2 weak images, and a validation with tags."""
    image, mask = dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')
    tags = dict(
        type='LoadImageTags',
        format='file',
        path=str(tagged / 'tags.json'),
        img_folder=str(tagged / 'images'),
        classes=CLASSES,
    )
    crop = dict(type='RandomCrop', crop_size=(33, 33))
    pack = [dict(type='PackSemiInputs')]
    strong = [image, mask, tags, dict(type='StrongAugment'), crop]
    part = dict(data_root=str(tagged), metainfo=dict(classes=CLASSES))
    labeled = dict(
        type='BaseSegDataset',
        ann_file='labeled.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        **part,
    )
    weak = dict(type='MultiBranch', weak=pack)
    unlabeled = dict(
        type='UnlabeledDataset',
        ann_file='unlabeled.txt',
        data_prefix=dict(img_path='images'),
        pipeline=[image, tags, crop, weak],
        **part,
    )
    every = dict(
        type='ConcatDataset',
        datasets=[unlabeled, labeled | dict(pipeline=[image, mask, tags, crop, weak])],
        ignore_keys=['reduce_zero_label'],
    )
    return dict(
        model=dict(
            type='LPL',
            segmentor=tiny_segmentor,
            background=False,
            predict_with_tags=True,
        ),
        work_dir=str(tmp_path / 'run'),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(
                type='MultiSourceSampler', num_per_source=dict(labeled=2, weak=2)
            ),
            collate_fn=dict(type='branch_collate'),
            dataset=dict(
                type='MultiSourceDataset',
                allow_overlap=True,
                labeled=labeled
                | dict(pipeline=[*strong, dict(type='MultiBranch', sup=pack)]),
                weak=every,
            ),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        val_dataloader=dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=labeled | dict(pipeline=[image, mask, tags, *pack]),
        ),
        val_cfg=dict(type='TeacherStudentValLoop'),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False)
        ),
        randomness=dict(seed=0),
        log_level='ERROR',
        default_scope='mmsemi',
    )


def build(config: dict, name: str) -> Runner:
    config = copy.deepcopy(config)
    config['model'] = ConfigDict(config['model'])
    return Runner(**config, experiment_name=f'lpl_{name}')


def test_training_and_validation_with_tags(config, tmp_path):
    runner = build(config, tmp_path.name)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    after = runner.model.state_dict()
    for name in ('hybrid', 'pseudo'):
        key = f'{name}.decode_head.conv_seg.weight'
        assert not torch.equal(before[key], after[key])
    for name in ('true', 'predicted', 'hit'):
        assert not torch.equal(
            before[f'running_iou.{name}'], after[f'running_iou.{name}']
        )
    metrics = runner.val_loop.run()
    assert metrics['mIoU'] == metrics['hybrid/mIoU'] and 'pseudo/mIoU' in metrics
    other = MODELS.build(ConfigDict(config['model']))
    load_checkpoint(other, str(tmp_path / 'run/iter_3.pth'), strict=True)
    loaded = other.state_dict()
    assert all(torch.equal(loaded[key], after[key]) for key in after)


def test_weak_images_with_a_mask_bring_it(config):
    dataset = DATASETS.build(config['train_dataloader']['dataset'])
    weak = [dataset[i]['weak']['data_samples'] for i in range(2, 8)]
    assert ['gt_sem_seg' in sample for sample in weak] == [False] * 4 + [True] * 2
    assert all(sample.gt_tags.item.shape == (4,) for sample in weak)


def test_validation_images_without_tags_stop_before_the_first_step(config, tmp_path):
    """Inside of a wrapper as well."""
    loader = config['val_dataloader']
    listed = tmp_path / 'few.json'
    listed.write_text(json.dumps({'z': ['car']}))
    load = dict(type='LoadImageTags', format='file', path=str(listed), classes=['car'])
    inner = dict(loader['dataset'], pipeline=[load])
    loader['dataset'] = dict(type='RepeatDataset', times=2, dataset=inner)
    config['custom_hooks'] = [dict(type='SetIterHook')]
    runner = build(config, f'{tmp_path.name}_4')
    with pytest.raises(ValueError, match=r'few\.json has no tags of the image'):
        runner.train()
    assert runner.iter == 0


def test_validation_without_tags_says_so(config, tmp_path):
    pipeline = config['val_dataloader']['dataset']['pipeline']
    config['val_dataloader']['dataset']['pipeline'] = [*pipeline[:2], pipeline[3]]
    runner = build(config, f'{tmp_path.name}_3')
    with pytest.raises(
        ValueError, match=r'images/a\.jpg has no image tags: put LoadIm'
    ):
        runner.val()
    runner.model.predict_with_tags = False
    assert 'mIoU' in runner.val()
