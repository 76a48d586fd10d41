# Cityscapes with a box around each polygon, for self-correcting networks. As it stands:
# the images with masks (F) and no box; recipes take the other pipelines and `weak` (W),
# which opens no mask.
data_root = 'data/cityscapes/'
images = 'leftImg8bit/train'
val_images = 'leftImg8bit/val'
img_suffix = '_leftImg8bit.png'
split = 'splits/seed0/200'
labeled_list = '{split}/labeled.txt'
# all classes: none is a background
num_box_classes = 19
boxes = dict(
    type='LoadBoxes',
    format='cityscapes',
    path='{data_root}/gtFine/train',
    img_folder='{data_root}/{images}',
    img_suffix='{img_suffix}',
    classes='CityscapesDataset',
)
val_boxes = dict(
    type='LoadBoxes',
    format='cityscapes',
    path='{data_root}/gtFine/val',
    img_folder='{data_root}/{val_images}',
    img_suffix='{img_suffix}',
    classes='CityscapesDataset',
)
crop_size = (769, 769)
geometry = [
    dict(type='RandomScale', min_factor=0.5, max_factor=2.0),
    dict(type='RandomCropWithBoxes', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
]
pack = dict(type='PackSemiInputs')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *geometry,
    pack,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# tools/test.py --tta: the scales of DeepLabV3+, each also mirrored
tta_views = [
    [
        dict(type='Resize', scale_factor=factor, keep_ratio=True)
        for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    ],
    [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
    [dict(type='LoadAnnotations')],
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[*tta_views, [dict(type='PackSegInputs')]]),
]
# of the ancillary model, which sees the boxes of every image
ancillary_pipeline = [
    dict(type='LoadImageFromFile'),
    '{boxes}',
    dict(type='LoadAnnotations'),
    *geometry,
    pack,
]
ancillary_test_pipeline = [
    dict(type='LoadImageFromFile'),
    '{val_boxes}',
    dict(type='LoadAnnotations'),
    pack,
]
ancillary_tta_pipeline = [
    dict(type='LoadImageFromFile'),
    '{val_boxes}',
    dict(type='TestTimeAug', transforms=[*tta_views, [pack]]),
]
# of the training that labels W
sup_pipeline = [*ancillary_pipeline[:-1], dict(type='MultiBranch', sup=[pack])]
weak = dict(
    type='UnlabeledDataset',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    img_suffix='{img_suffix}',
    ann_file='{split}/unlabeled.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        '{boxes}',
        *geometry,
        dict(type='MultiBranch', weak=[pack]),
    ],
)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='MultiSourceSampler', num_per_source=dict(labeled=4)),
    dataset=dict(
        type='MultiSourceDataset',
        labeled=dict(
            type='CityscapesDataset',
            data_root='{data_root}',
            data_prefix=dict(img_path='{images}', seg_map_path='gtFine/train'),
            ann_file='{labeled_list}',
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root='{data_root}',
        data_prefix=dict(img_path='{val_images}', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
