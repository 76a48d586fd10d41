# VOC 2012 augmented for AVC: all training images with their tags, no mask.
data_root = 'data/VOCdevkit/VOC2012/'
dataset_type = 'PascalVOCDataset'
classes = '{dataset_type}'
images = 'JPEGImages'
val_images = 'JPEGImages'
img_suffix = '.jpg'
# the images that are trained on in every stage (10582), and those of the validation
listed = 'ImageSets/Segmentation/trainaug.txt'
val_listed = 'ImageSets/Segmentation/val.txt'
# VOC's XMLs, also of objects that occur as difficult only
tags = '{data_root}/Annotations'
val_tags = '{data_root}/Annotations'
tags_format = 'voc'
# of the classifier
crop_size = (512, 512)
# TransCAM: the longer side becomes 320 to 640
classify_pipeline = [
    dict(type='LoadImageFromFile'),
    '{load_tags}',
    dict(
        type='RandomResize',
        scale=(480, 480),
        ratio_range=(320 / 480, 640 / 480),
        keep_ratio=True,
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='StrongPhotometric',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
        jitter_prob=1.0,
        gray_prob=0.0,
        blur_prob=0.0,
    ),
    dict(type='RandomCrop', crop_size='{crop_size}'),
    dict(type='PackSemiInputs'),
]
classify_val_pipeline = [
    dict(type='LoadImageFromFile'),
    '{load_val_tags}',
    dict(type='PackSemiInputs'),
]
# PSA: at the image's own scale
affinity_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='StrongPhotometric',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
        jitter_prob=1.0,
        gray_prob=0.0,
        blur_prob=0.0,
    ),
    dict(type='RandomCrop', crop_size=(448, 448)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# released with AVC; the hue and the like move by up to 10 of 255
segment_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='StrongPhotometric',
        brightness=0.04,
        contrast=0.0,
        saturation=0.04,
        hue=0.03,
        jitter_prob=1.0,
        gray_prob=0.0,
        blur_prob=0.0,
    ),
    dict(type='RandomFlip', prob=0.5),
    # the factor is uniform
    dict(type='RandomScale', min_factor=0.5, max_factor=1.5),
    dict(type='RandomCrop', crop_size=(448, 448)),
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
                for factor in (0.5, 0.75, 1.0, 1.25, 1.5)
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
train_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='MultiSourceSampler'),
    dataset=dict(type='MultiSourceDataset'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalVOCDataset',
        data_root='{data_root}',
        data_prefix=dict(img_path='{val_images}', seg_map_path='SegmentationClass'),
        ann_file='{val_listed}',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
