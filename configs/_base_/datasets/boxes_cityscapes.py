# Cityscapes with a box around each polygon, for self-correcting networks: images with
# masks and boxes (F, the part `labeled`) and with boxes only (W, `weak`), of which no
# mask is opened.
_base_ = './cityscapes.py'
# all classes: none is a background
num_box_classes = 19
boxes = dict(
    type='LoadBoxes',
    format='cityscapes',
    path=_base_.data_root + 'gtFine/train',
    img_folder=_base_.data_root + 'leftImg8bit/train',
    img_suffix='_leftImg8bit.png',
    classes='CityscapesDataset',
)
val_boxes = dict(
    type='LoadBoxes',
    format='cityscapes',
    path=_base_.data_root + 'gtFine/val',
    img_folder=_base_.data_root + 'leftImg8bit/val',
    img_suffix='_leftImg8bit.png',
    classes='CityscapesDataset',
)
geometry = [
    _base_.train_pipeline[2],
    dict(type='RandomCropWithBoxes', crop_size=_base_.crop_size),
    _base_.train_pipeline[4],
]
pack = dict(type='PackSemiInputs')
# what the stage `ancillary` changes: it sees the boxes of every image
box_pipeline = [
    dict(type='LoadImageFromFile'),
    boxes,
    dict(type='LoadAnnotations'),
    *geometry,
    pack,
]
box_test_pipeline = [
    dict(type='LoadImageFromFile'),
    val_boxes,
    *_base_.test_pipeline[1:-1],
    pack,
]
ancillary = dict(
    model=dict(decode_head=dict(num_box_classes=num_box_classes)),
    train_dataloader=dict(dataset=dict(labeled=dict(pipeline=box_pipeline))),
    val_dataloader=dict(dataset=dict(pipeline=box_test_pipeline)),
    test_dataloader=dict(dataset=dict(pipeline=box_test_pipeline)),
    tta_pipeline=[
        dict(type='LoadImageFromFile'),
        val_boxes,
        dict(
            type='TestTimeAug',
            transforms=[*_base_.tta_pipeline[1]['transforms'][:-1], [pack]],
        ),
    ],
)
# the trainings that label W
train_dataloader = dict(
    batch_size=None,
    sampler=dict(num_per_source=dict(labeled=4)),
    dataset=dict(
        data_root=_base_.data_root,
        split='splits/seed0/200',
        labeled=dict(
            pipeline=[*box_pipeline[:-1], dict(type='MultiBranch', sup=[pack])]
        ),
        weak=dict(
            type='UnlabeledDataset',
            data_prefix=dict(img_path='leftImg8bit/train'),
            img_suffix='_leftImg8bit.png',
            pipeline=[
                dict(type='LoadImageFromFile'),
                boxes,
                *geometry,
                dict(type='MultiBranch', weak=[pack]),
            ],
        ),
    ),
)
