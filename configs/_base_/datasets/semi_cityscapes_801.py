# Cityscapes at UniMatch's crop, a weak and a strong view of unlabelled images. The
# unlabelled part opens no mask.
_base_ = './cityscapes.py'
crop_size = (801, 801)
geometry = [
    # UniMatch scales each image by 0.5 to 2; the longer side of nearly all is 2048
    dict(
        type='RandomResize',
        scale=(2048, 2048),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *geometry,
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
strong_view = [dict(type='StrongPhotometric'), dict(type='PackSemiInputs')]
strong_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(
        type='MultiBranch',
        unsup_teacher=[dict(type='PackSemiInputs')],
        unsup_student=strong_view,
    ),
]
# two strong views of the same crop
two_strong_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(
        type='MultiBranch',
        unsup_teacher=[dict(type='PackSemiInputs')],
        unsup_student=strong_view,
        unsup_student2=strong_view,
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
            pipeline=strong_pipeline,
        ),
    ),
)
