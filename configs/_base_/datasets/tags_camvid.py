# CamVid for LPL. configs/lpl/README.md says how the files of tags are made.
data_root = 'data/camvid/'
dataset_type = 'CamVidDataset'
images = 'images/train'
img_suffix = '.jpg'
masks = 'annotations/train'
split = 'splits/12'
crop_size = (160, 160)
# files of image tags, and whose they are
tags = '{data_root}/tags.json'
val_tags = '{data_root}/tags_val.json'
val_images = 'images/val'
# stage 1: masks and tags, strongly augmented
strong_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    '{load_tags}',
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='StrongAugment'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
# stage 1: tags, cropped only; with and without a mask
weak_masked_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    '{load_tags}',
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
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
        type='RandomResize', scale=(320, 240), ratio_range=(0.75, 1.5), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    # the mask is loaded after the resize: metrics are at the original size
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
        dict(type='Resize', scale=scale, keep_ratio=True)
        for scale in ((240, 180), (320, 240), (400, 300))
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
train_dataloader = dict(
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='MultiSourceSampler'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CamVidDataset',
        data_root='{data_root}',
        data_prefix=dict(img_path='{val_images}', seg_map_path='annotations/val'),
        ann_file='val.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
