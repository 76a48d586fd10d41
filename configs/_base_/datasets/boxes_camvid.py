# CamVid with boxes, for self-correcting networks; make_boxes.py makes them of the
# masks' connected components. As it stands: the images with masks (F) and no box;
# recipes take the other pipelines and `weak` (W), which opens no mask.
_base_ = './camvid.py'
images = 'images/train'
val_images = 'images/val'
split = 'splits/12'
labeled_list = '{split}/labeled.txt'
# all classes: none is a background
num_box_classes = 11
boxes = dict(
    type='LoadBoxes',
    format='coco',
    path='{data_root}/boxes_train.json',
    img_folder='{data_root}/{images}',
    classes='CamVidDataset',
)
val_boxes = dict(
    type='LoadBoxes',
    format='coco',
    path='{data_root}/boxes_val.json',
    img_folder='{data_root}/{val_images}',
    classes='CamVidDataset',
)
geometry = [
    *_base_.train_pipeline[2:3],
    dict(type='RandomCropWithBoxes', crop_size=(160, 160)),
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
    '{val_boxes}',
    *_base_.test_pipeline[1:-1],
    pack,
]
ancillary_tta_pipeline = [
    dict(type='LoadImageFromFile'),
    '{val_boxes}',
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
val_dataloader = dict(
    dataset=dict(data_root='{data_root}', data_prefix=dict(img_path='{val_images}'))
)
test_dataloader = val_dataloader
