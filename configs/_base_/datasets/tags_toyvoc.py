# ToyVOC for LPL. tools/demo.py and make_toyvoc.py also write its tags.json.
data_root = 'data/toyvoc/'
dataset_type = 'ToyVOCDataset'
images = 'JPEGImages'
img_suffix = '.jpg'
masks = 'SegmentationClass'
split = 'splits/seed0/24'
crop_size = (96, 96)
# files of image tags, and whose they are
tags = '{data_root}/tags.json'
val_tags = '{data_root}/tags.json'
val_images = 'JPEGImages'
# stage 1: masks and tags, strongly augmented
strong_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    '{load_tags}',
    dict(type='StrongAugment'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
# stage 1: tags, cropped only; with and without a mask
weak_masked_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    '{load_tags}',
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='MultiBranch', weak=[dict(type='PackSemiInputs')]),
]
weak_pipeline = [
    step for step in weak_masked_pipeline if step != dict(type='LoadAnnotations')
]
# stage 2: a network from scratch has too few steps for StrongAugment
learn_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize', scale=(128, 128), ratio_range=(0.75, 1.25), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tagged_test_pipeline = [
    *test_pipeline[:-1],
    '{load_val_tags}',
    dict(type='PackSemiInputs'),
]
views = [
    [
        dict(type='Resize', scale_factor=factor, keep_ratio=True)
        for factor in (0.5, 0.75, 1.0, 1.25, 1.5)
    ],
    [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
    [dict(type='LoadAnnotations')],
]
# tools/test.py --tta
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[*views, [dict(type='PackSegInputs')]]),
]
tagged_tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[*views, ['{load_val_tags}'], [dict(type='PackSemiInputs')]],
    ),
]
# images this small cost less to load than to hand over from a worker
train_dataloader = dict(num_workers=0, sampler=dict(type='MultiSourceSampler'))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ToyVOCDataset',
        data_root='{data_root}',
        data_prefix=dict(img_path='{val_images}', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
