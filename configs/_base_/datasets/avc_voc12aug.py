# VOC 2012 augmented for AVC: all training images (10582) with their tags, no mask.
_base_ = './voc12aug.py'
# VOC's XMLs, also of objects that occur as difficult only
tag_file = _base_.data_root + 'Annotations'
load_tags = dict(
    type='LoadImageTags', format='voc', path=tag_file, classes='PascalVOCDataset'
)
# TransCAM's and PSA's
jitter = dict(
    type='StrongPhotometric',
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.1,
    jitter_prob=1.0,
    gray_prob=0.0,
    blur_prob=0.0,
)
classify_pipeline = [
    dict(type='LoadImageFromFile'),
    load_tags,
    # TransCAM: the longer side becomes 320 to 640
    dict(
        type='RandomResize',
        scale=(480, 480),
        ratio_range=(320 / 480, 640 / 480),
        keep_ratio=True,
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    jitter,
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='PackSemiInputs'),
]
# PSA: at the image's own scale
affinity_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    jitter,
    dict(type='RandomCrop', crop_size=(448, 448)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# released with AVC; the hue and the like move by up to 10 of 255
segment_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(jitter, brightness=0.04, contrast=0.0, saturation=0.04, hue=0.03),
    dict(type='RandomFlip', prob=0.5),
    # the factor is uniform
    dict(type='RandomScale', min_factor=0.5, max_factor=1.5),
    dict(type='RandomCrop', crop_size=(448, 448)),
    dict(type='PackSegInputs'),
]
images = dict(
    data_prefix=dict(img_path='JPEGImages'),
    ann_file='ImageSets/Segmentation/trainaug.txt',
)
train_dataloader = dict(
    batch_size=None,
    sampler=dict(_delete_=True, type='MultiSourceSampler'),
    dataset=dict(
        _delete_=True,
        type='MultiSourceDataset',
        data_root=_base_.data_root,
        tagged=dict(images, type='UnlabeledDataset', pipeline=classify_pipeline),
        sure=dict(images, type='PascalVOCDataset', pipeline=affinity_pipeline),
        pseudo=dict(images, type='PascalVOCDataset', pipeline=segment_pipeline),
    ),
)
# images of the classifier's validation
tagged_val = dict(
    type='UnlabeledDataset',
    data_root=_base_.data_root,
    data_prefix=dict(img_path='JPEGImages'),
    ann_file='ImageSets/Segmentation/val.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        load_tags,
        dict(type='PackSemiInputs'),
    ],
)
# tools/test.py --tta
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale_factor=factor, keep_ratio=True)
    for factor in (0.5, 0.75, 1.0, 1.25, 1.5)
]
