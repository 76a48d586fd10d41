# ToyVOC for AVC: all training images with their tags, no mask. tools/demo.py and
# make_toyvoc.py also write its tags.json.
data_root = 'data/toyvoc/'
dataset_type = 'ToyVOCDataset'
classes = '{dataset_type}'
images = 'JPEGImages'
val_images = 'JPEGImages'
img_suffix = '.jpg'
# the images that are trained on in every stage, and those of the validation
listed = 'ImageSets/Segmentation/train.txt'
val_listed = 'ImageSets/Segmentation/val.txt'
tags = '{data_root}/tags.json'
val_tags = '{data_root}/tags.json'
tags_format = 'file'
views = [
    dict(
        type='RandomResize', scale=(128, 128), ratio_range=(0.75, 1.25), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size='{crop_size}'),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
]
# at about half their size. Whole: a crop may lack what the image is tagged with
classify_pipeline = [
    dict(type='LoadImageFromFile'),
    '{load_tags}',
    dict(
        type='RandomResize',
        scale='{classify_size}',
        ratio_range=(0.75, 1.0),
        keep_ratio=True,
    ),
    views[-1],
    dict(type='PackSemiInputs'),
]
classify_val_pipeline = [
    dict(type='LoadImageFromFile'),
    '{load_val_tags}',
    dict(type='Resize', scale='{classify_size}', keep_ratio=True),
    dict(type='PackSemiInputs'),
]
# AffinityNet sees images at their own scale
affinity_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *views[1:],
    dict(type='PackSegInputs'),
]
segment_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *views,
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# tools/test.py --tta
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=factor, keep_ratio=True)
                for factor in (0.75, 1.0, 1.25)
            ],
            [
                dict(type='RandomFlip', prob=prob, direction='horizontal')
                for prob in (0.0, 1.0)
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
# images this small cost less to load than to hand over from a worker
train_dataloader = dict(
    num_workers=0,
    sampler=dict(type='MultiSourceSampler'),
    dataset=dict(type='MultiSourceDataset'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ToyVOCDataset',
        data_root='{data_root}',
        data_prefix=dict(img_path='{val_images}', seg_map_path='SegmentationClass'),
        ann_file='{val_listed}',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
