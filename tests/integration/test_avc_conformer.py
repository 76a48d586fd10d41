"""mmpretrain's Conformer, trained and validated by OpenMMLab's runner."""

import json
import shutil

import numpy as np
import pytest
from mmengine.runner import Runner

pytest.importorskip('mmpretrain')

NAMES = ['background', 'road', 'tree', 'car']


@pytest.mark.parametrize(
    'metric', ['TagAveragePrecision', 'mmpretrain.AveragePrecision']
)
def test_two_steps(tiny_images, tmp_path, default_scope, metric):
    shutil.rmtree(tiny_images / 'masks')
    tags = tiny_images / 'tags.json'
    tags.write_text(json.dumps({n: NAMES[1 + i % 3 :] for i, n in enumerate('abcdef')}))
    load = dict(type='LoadImageTags', format='file', path=str(tags), classes=NAMES)
    dataset = dict(
        type='UnlabeledDataset',
        data_root=str(tiny_images),
        ann_file='all.txt',
        data_prefix=dict(img_path='images'),
        pipeline=[dict(type='LoadImageFromFile'), load, dict(type='PackSemiInputs')],
    )
    images = {k: v for k, v in dataset.items() if k not in ('type', 'pipeline')}
    hook = dict(type='CamHook', dataset=images, tags=str(tags), classes=NAMES)
    hook |= dict(squares=[32, 48], refine=True, num_workers=0)
    runner = Runner(
        model=dict(
            type='AVC',
            backbone=dict(
                type='ConformerCam',
                arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12),
                base_channels=8,
            ),
            head=dict(type='ConformerCamHead', num_classes=3, in_channels=(32, 24)),
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[120.0] * 3,
                std=[60.0] * 3,
                size=(48, 48),
                test_cfg=dict(size_divisor=16),
            ),
            warmup=0,
        ),
        work_dir=str(tmp_path / 'work'),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='MultiSourceSampler', num_per_source=dict(tagged=2)),
            dataset=dict(type='MultiSourceDataset', tagged=dataset),
        ),
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler'),
            dataset=dataset,
        ),
        val_evaluator=dict(type=metric),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
        val_cfg=dict(type='TeacherStudentValLoop'),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(logger=None, checkpoint=None),
        custom_hooks=[dict(type='ExactResumeHook'), dict(type='SetIterHook'), hook],
        default_scope='mmsemi',
        experiment_name=f'conformer_{metric}',
        log_level='ERROR',
        randomness=dict(seed=0),
    )
    found = []
    evaluate = runner.val_loop.evaluator.evaluate
    runner.val_loop.evaluator.evaluate = lambda size: (
        found.append(evaluate(size)) or found[-1]
    )
    runner.train()
    assert 0 < found[0]['multi-label/mAP'] <= 100
    for i, name in enumerate('abcdef'):
        seed = np.load(tmp_path / f'work/cams/{name}.npz')
        assert seed['classes'].tolist() == list(range(1 + i % 3, 4))
        assert seed['cam'].shape[1:] == (40, 48) and np.isfinite(seed['cam']).all()
