# ToyVOC for AVC: all training images with their tags, no mask. tools/demo.py and
# make_toyvoc.py also write its tags.json.
_base_ = './toyvoc.py'
tag_file = _base_.data_root + 'tags.json'
load_tags = dict(
    type='LoadImageTags', format='file', path=tag_file, classes='ToyVOCDataset'
)
# at about half their size. Whole: a crop may lack what the image is tagged with
classify_size = (64, 64)
images = dict(
    data_prefix=dict(img_path='JPEGImages'),
    ann_file='ImageSets/Segmentation/train.txt',
)
train_dataloader = dict(
    batch_size=None,
    sampler=dict(_delete_=True, type='MultiSourceSampler'),
    dataset=dict(
        _delete_=True,
        type='MultiSourceDataset',
        data_root=_base_.data_root,
        tagged=dict(
            images,
            type='UnlabeledDataset',
            pipeline=[
                dict(type='LoadImageFromFile'),
                load_tags,
                dict(
                    type='RandomResize',
                    scale=classify_size,
                    ratio_range=(0.75, 1.0),
                    keep_ratio=True,
                ),
                dict(
                    type='RandomFlip',
                    prob=[0.25, 0.25, 0.25],
                    direction=['horizontal', 'vertical', 'diagonal'],
                ),
                dict(type='PackSemiInputs'),
            ],
        ),
        sure=dict(
            images,
            type='ToyVOCDataset',
            # AffinityNet sees images at their own scale
            pipeline=[
                step for step in _base_.train_pipeline if step.type != 'RandomResize'
            ],
        ),
        pseudo=dict(images, type='ToyVOCDataset', pipeline=_base_.train_pipeline),
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
        dict(type='Resize', scale=classify_size, keep_ratio=True),
        dict(type='PackSemiInputs'),
    ],
)
# tools/test.py --tta
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale_factor=factor, keep_ratio=True)
    for factor in (0.75, 1.0, 1.25)
]
