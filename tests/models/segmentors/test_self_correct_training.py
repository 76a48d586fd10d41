"""Self-correction from files to metrics: the ancillary stage, then each mode."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from PIL import Image

from mmsemi.datasets.annotations.box_files import coco_boxes
from mmsemi.datasets.annotations.boxes_from_masks import boxes_of_components

CLASSES = ('sky', 'road', 'tree', 'car')


@pytest.fixture
def data(tiny_images):
    """Make boxes of all images, as CamVid's are made, and remove the masks of W."""
    boxes, sizes = {}, {}
    for path in sorted((tiny_images / 'masks').glob('*.png')):
        mask = np.array(Image.open(path))
        boxes[f'{path.stem}.jpg'] = boxes_of_components(mask, 4, background=False)
        sizes[f'{path.stem}.jpg'] = mask.shape
    coco = coco_boxes(boxes, sizes, CLASSES)
    (tiny_images / 'boxes.json').write_text(json.dumps(coco))
    for name in 'cdef':
        (tiny_images / 'masks' / f'{name}.png').unlink()
    return tiny_images


@pytest.fixture
def ancillary(tiny_segmentor) -> dict:
    """Return the ancillary model: all four classes have boxes."""
    config = copy.deepcopy(tiny_segmentor) | dict(type='BoxConditionedSegmentor')
    config['decode_head'] |= dict(type='BoxConditionedHead', num_box_classes=4)
    return config


@pytest.fixture
def train(data, tmp_path):
    """Return a function that trains two steps and validates, with boxes."""

    def run(name: str, model: dict, weak: bool, **kwargs: object) -> Runner:
        boxes = dict(
            type='LoadBoxes',
            format='coco',
            path=str(data / 'boxes.json'),
            img_folder=str(data / 'images'),
            classes=CLASSES,
        )
        load = [dict(type='LoadImageFromFile'), boxes]
        masks = dict(type='LoadAnnotations')
        geometry = [
            dict(type='RandomResize', scale=(48, 40), ratio_range=(0.5, 2)),
            dict(type='RandomCropWithBoxes', crop_size=(33, 33)),
            dict(type='RandomFlip', prob=0.5),
        ]
        pack = dict(type='PackSemiInputs')
        part = dict(
            data_root=str(data), metainfo=dict(classes=CLASSES, palette=[[0] * 3] * 4)
        )
        labeled = part | dict(
            type='BaseSegDataset',
            ann_file='labeled.txt',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
        )
        branch = dict(type='MultiBranch', sup=[pack]) if weak else pack
        sources = dict(
            labeled=labeled | dict(pipeline=[*load, masks, *geometry, branch])
        )
        if weak:
            sources['weak'] = part | dict(
                type='UnlabeledDataset',
                ann_file='unlabeled.txt',
                data_prefix=dict(img_path='images'),
                pipeline=[*load, *geometry, dict(type='MultiBranch', weak=[pack])],
            )
        loader = dict(
            batch_size=2 * len(sources),
            num_workers=0,
            sampler=dict(
                type='MultiSourceSampler', num_per_source=dict.fromkeys(sources, 2)
            ),
            dataset=dict(type='MultiSourceDataset', **sources),
            collate_fn=dict(type='branch_collate' if weak else 'pseudo_collate'),
        )
        val = dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=labeled | dict(pipeline=[*load, masks, pack]),
        )
        runner = Runner(
            model=ConfigDict(model),
            work_dir=str(tmp_path / name),
            train_dataloader=loader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
            optim_wrapper=dict(
                optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
            ),
            val_dataloader=val,
            val_cfg=dict(type='TeacherStudentValLoop'),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            custom_hooks=[dict(type='SetIterHook')] if weak else [],
            default_hooks=dict(
                checkpoint=dict(type='AtomicCheckpointHook', interval=2, by_epoch=False)
            ),
            randomness=dict(seed=0),
            log_level='ERROR',
            default_scope='mmsemi',
            experiment_name=f'{name}_{tmp_path.name}',
            **kwargs,
        )
        runner.train()
        return runner

    return run


def test_stages(train, ancillary, tiny_segmentor, tmp_path, data):
    trained = train('ancillary', copy.deepcopy(ancillary), weak=False)
    assert 0 <= trained.val_loop.run()['mIoU'] <= 100
    checkpoint = str(tmp_path / 'ancillary' / 'iter_2.pth')
    weights = trained.model.state_dict()
    for mode in ('linear', 'conv', 'em-fixed'):
        given = dict(ancillary=ancillary, ancillary_checkpoint=checkpoint)
        given = dict(num_box_classes=4) if mode == 'em-fixed' else given
        model = dict(type='SelfCorrect', mode=mode, segmentor=tiny_segmentor, **given)
        runner = train(mode, copy.deepcopy(model), weak=True)
        metrics = runner.val_loop.run()
        assert metrics['mIoU'] == metrics['primary/mIoU']
        if mode == 'em-fixed':
            continue
        for key, value in runner.model.ancillary.state_dict().items():
            assert torch.equal(value, weights[key]), key

    # conv's third stage starts from a checkpoint that holds the ancillary model
    del model['num_box_classes']
    model |= dict(mode='conv', ancillary=ancillary)
    shutil.rmtree(tmp_path / 'ancillary')
    before = str(tmp_path / 'conv' / 'iter_2.pth')
    runner = train('third', copy.deepcopy(model), weak=True, load_from=before)
    for key, value in runner.model.ancillary.state_dict().items():
        assert torch.equal(value, weights[key]), key
    with pytest.raises(RuntimeError, match='random weights'):
        train('fourth', copy.deepcopy(model), weak=True)
