# ToyVOC with boxes, for self-correcting networks. As it stands: the images with masks
# (F) and no box; recipes take the other pipelines and `weak` (W), which opens no mask.
_base_ = './toyvoc.py'
images = 'JPEGImages'
split = 'splits/seed0/24'
labeled_list = '{split}/labeled.txt'
# all classes but the background
num_box_classes = 6
boxes = dict(
    type='LoadBoxes',
    format='voc',
    path='{data_root}/Annotations',
    classes='ToyVOCDataset',
)
geometry = [
    *_base_.train_pipeline[2:3],
    dict(type='RandomCropWithBoxes', crop_size=(96, 96)),
    *_base_.train_pipeline[4:-1],
]
pack = dict(type='PackSemiInputs')
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
    '{boxes}',
    dict(type='LoadAnnotations'),
    pack,
]
ancillary_tta_pipeline = [
    dict(type='LoadImageFromFile'),
    '{boxes}',
    dict(
        type='TestTimeAug',
        transforms=[*_base_.tta_pipeline[1]['transforms'][:-1], [pack]],
    ),
]
# of the training that labels W
sup_pipeline = [*ancillary_pipeline[:-1], dict(type='MultiBranch', sup=[pack])]
weak = dict(
    type='UnlabeledDataset',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    ann_file='{split}/unlabeled.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        '{boxes}',
        *geometry,
        dict(type='MultiBranch', weak=[pack]),
    ],
)
train_dataloader = dict(
    dataset=dict(
        labeled=dict(
            data_root='{data_root}',
            data_prefix=dict(img_path='{images}'),
            ann_file='{labeled_list}',
        )
    )
)
val_dataloader = dict(dataset=dict(data_root='{data_root}'))
test_dataloader = val_dataloader
