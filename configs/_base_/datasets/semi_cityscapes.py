# Cityscapes, labelled and unlabelled parts. The unlabelled part opens no mask.
_base_ = './cityscapes.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *_base_.geometry,
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
weak_pipeline = [
    dict(type='LoadImageFromFile'),
    *_base_.geometry,
    dict(type='MultiBranch', unsup_teacher=[dict(type='PackSemiInputs')]),
]
strong_view = [dict(type='StrongPhotometric'), dict(type='PackSemiInputs')]
strong_pipeline = [
    dict(type='LoadImageFromFile'),
    *_base_.geometry,
    dict(
        type='MultiBranch',
        unsup_teacher=[dict(type='PackSemiInputs')],
        unsup_student=strong_view,
    ),
]
train_dataloader = dict(
    batch_size=4,
    sampler=dict(num_per_source=dict(labeled=2, unlabeled=2)),
    collate_fn=dict(type='branch_collate'),
    dataset=dict(
        labeled=dict(pipeline=train_pipeline),
        unlabeled=dict(
            type='UnlabeledDataset',
            data_prefix=dict(img_path='leftImg8bit/train'),
            img_suffix='_leftImg8bit.png',
            pipeline=weak_pipeline,
        ),
    ),
)
