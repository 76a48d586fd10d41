# ADE20K, labelled and unlabelled parts. The unlabelled part opens no mask.
_base_ = './ade20k.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    *_base_.geometry,
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
weak_pipeline = [
    dict(type='LoadImageFromFile'),
    *_base_.geometry,
    dict(type='MultiBranch', unsup_teacher=[dict(type='PackSemiInputs')]),
]
train_dataloader = dict(
    batch_size=8,
    sampler=dict(num_per_source=dict(labeled=4, unlabeled=4)),
    collate_fn=dict(type='branch_collate'),
    dataset=dict(
        labeled=dict(pipeline=train_pipeline),
        unlabeled=dict(
            type='UnlabeledDataset',
            data_prefix=dict(img_path='images/training'),
            pipeline=weak_pipeline,
        ),
    ),
)
