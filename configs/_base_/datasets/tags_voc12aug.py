# VOC 2012 augmented with tags, for LPL: images with masks and tags (the part
# `labeled`), all images with tags (`weak`), those with labels of the first stage
# (`pseudo`), and masks and labels alike (`every`). configs/lpl/README.md says how the
# files of tags are made.
_base_ = './voc12aug.py'
crop_size = (384, 384)
tag_file = _base_.data_root + 'tags.json'
load_tags = dict(
    type='LoadImageTags',
    format='file',
    path=tag_file,
    img_folder=_base_.data_root + 'JPEGImages',
    img_suffix='.jpg',
    classes='PascalVOCDataset',
)
load_val_tags = dict(
    type='LoadImageTags',
    format='file',
    path=_base_.data_root + 'tags_val.json',
    img_folder=_base_.data_root + 'JPEGImages',
    img_suffix='.jpg',
    classes='PascalVOCDataset',
)
# stage 1, masks and tags: strongly augmented
strong_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    load_tags,
    dict(type='StrongAugment'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
# stage 1, tags: cropped only; without a mask, and with it, where there is one
weak_pipeline = [
    dict(type='LoadImageFromFile'),
    load_tags,
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='MultiBranch', weak=[dict(type='PackSemiInputs')]),
]
weak_masked_pipeline = [
    weak_pipeline[0],
    dict(type='LoadAnnotations'),
    *weak_pipeline[1:],
]
# stage 2
learn_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='StrongAugment'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
tagged_test_pipeline = [
    *_base_.test_pipeline[:-1],
    load_val_tags,
    dict(type='PackSemiInputs'),
]
# tools/test.py --tta, without the largest scale of the other methods
views = _base_.tta_pipeline[1]['transforms'][:-1]
views[0] = views[0][:-1]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[*views, [dict(type='PackSegInputs')]]),
]
# what stage 1 changes: it is validated and tested with tags
tagged = dict(
    val_dataloader=dict(dataset=dict(pipeline=tagged_test_pipeline)),
    test_dataloader=dict(dataset=dict(pipeline=tagged_test_pipeline)),
    tta_pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[*views, [load_val_tags], [dict(type='PackSemiInputs')]],
        ),
    ],
)
masked = dict(
    type='PascalVOCDataset',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
    subset='labeled',
)
pseudo = dict(
    type='PascalVOCDataset',
    data_prefix=dict(
        img_path='JPEGImages', seg_map_path='{work_dir}/lpl/pseudo_labels'
    ),
    img_suffix='.jpg',
    pipeline=learn_pipeline,
)
train_dataloader = dict(
    batch_size=None,
    num_workers=8,
    sampler=dict(_delete_=True, type='MultiSourceSampler'),
    dataset=dict(
        data_root=_base_.data_root,
        labeled=dict(pipeline=strong_pipeline),
        weak=dict(
            type='ConcatDataset',
            datasets=[
                dict(masked, pipeline=weak_masked_pipeline),
                dict(
                    type='UnlabeledDataset',
                    data_prefix=dict(img_path='JPEGImages'),
                    img_suffix='.jpg',
                    pipeline=weak_pipeline,
                ),
            ],
            # classes and the like are those of the first
            ignore_keys=['classes', 'palette', 'label_map', 'reduce_zero_label'],
        ),
        pseudo=pseudo,
        every=dict(
            type='ConcatDataset',
            datasets=[dict(masked, pipeline=learn_pipeline), pseudo],
        ),
    ),
)
