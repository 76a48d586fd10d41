# Cityscapes at UniMatch's crop, a weak and a strong view of unlabelled images. The
# unlabelled part opens no mask.
_base_ = './semi_cityscapes.py'
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
labeled_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *geometry,
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
unlabeled_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(
        type='MultiBranch',
        unsup_teacher=[dict(type='PackSemiInputs')],
        unsup_student=[dict(type='StrongPhotometric'), dict(type='PackSemiInputs')],
    ),
]
train_dataloader = dict(
    dataset=dict(
        labeled=dict(pipeline=labeled_pipeline),
        unlabeled=dict(pipeline=unlabeled_pipeline),
    ),
)
