"""Shared fixtures: a tiny data set and a tiny segmentor."""

import os

# before torch is loaded: tests fork, and its threads do not survive a fork
os.environ.setdefault('OMP_NUM_THREADS', '1')

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

CLASSES = ('sky', 'road', 'tree', 'car')
PALETTE = [[70, 130, 180], [128, 64, 128], [107, 142, 35], [0, 0, 142]]
HEIGHT, WIDTH = 40, 48


@pytest.fixture
def default_scope() -> Iterator[None]:
    """Resolve types as a config with ``default_scope = 'mmsemi'`` does."""
    with DefaultScope.overwrite_default_scope('mmsemi'):
        yield


@pytest.fixture
def tiny_images(tmp_path: Path) -> Path:
    """Write six images of 40 x 48 (H x W), their masks and three lists.

    ``images/{a..f}.jpg``, ``masks/{a..f}.png`` (classes 0..3 and void 255),
    ``labeled.txt`` (a, b), ``unlabeled.txt`` (c..f), ``all.txt``. Each class is a
    block of its own colour, so that a network can learn it.
    """
    root = tmp_path / 'tiny'
    for folder in ('images', 'masks'):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in 'abcdef':
        blocks = rng.integers(0, 4, (5, 6))
        mask = blocks.repeat(8, 0).repeat(8, 1).astype(np.uint8)
        noise = rng.integers(-20, 21, (HEIGHT, WIDTH, 3))
        image = np.clip(np.array(PALETTE)[mask] + noise, 0, 255).astype(np.uint8)
        mask[:2, :3] = 255
        Image.fromarray(image).save(root / f'images/{name}.jpg', quality=95)
        Image.fromarray(mask).save(root / f'masks/{name}.png')
    lists = {'labeled': 'ab', 'unlabeled': 'cdef', 'all': 'abcdef'}
    for file, names in lists.items():
        (root / f'{file}.txt').write_text('\n'.join(names) + '\n')
    return root


@pytest.fixture
def tiny_dataloader(tiny_images: Path) -> dict:
    """Return a training dataloader: 2 labelled + 2 unlabelled crops of 33 x 33."""
    crop = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomCrop', crop_size=(33, 33)),
        dict(type='RandomFlip', prob=0.5),
    ]
    part = dict(
        data_root=str(tiny_images),
        metainfo=dict(classes=CLASSES, palette=PALETTE),
    )
    labeled = dict(
        type='BaseSegDataset',
        ann_file='labeled.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        pipeline=[
            crop[0],
            dict(type='LoadAnnotations'),
            *crop[1:],
            dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
        ],
        **part,
    )
    views = dict(
        type='MultiBranch',
        unsup_teacher=[dict(type='PackSemiInputs')],
        unsup_student=[dict(type='StrongPhotometric'), dict(type='PackSemiInputs')],
    )
    unlabeled = dict(
        type='UnlabeledDataset',
        ann_file='unlabeled.txt',
        data_prefix=dict(img_path='images'),
        pipeline=[*crop, views],
        **part,
    )
    return dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(
            type='MultiSourceSampler', num_per_source=dict(labeled=2, unlabeled=2)
        ),
        collate_fn=dict(type='branch_collate'),
        dataset=dict(type='MultiSourceDataset', labeled=labeled, unlabeled=unlabeled),
    )


@pytest.fixture
def tiny_segmentor() -> dict:
    """Return the config of DeepLabV3+ with 8 channels, 4 classes, 33 x 33."""
    norm_cfg = dict(type='BN', requires_grad=True)
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255,
            size=(33, 33),
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            stem_channels=8,
            base_channels=8,
            strides=(1, 2, 2, 1),
            dilations=(1, 1, 1, 2),
            norm_cfg=norm_cfg,
            contract_dilation=True,
        ),
        decode_head=dict(
            type='DepthwiseSeparableASPPHead',
            in_channels=64,
            in_index=3,
            channels=8,
            dilations=(1, 2),
            c1_in_channels=8,
            c1_channels=8,
            dropout_ratio=0,
            num_classes=4,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        test_cfg=dict(mode='whole'),
    )
