# VOC 2012 augmented at UniMatch's crop, a weak and a strong view of unlabelled images.
# The unlabelled part opens no mask.
_base_ = './semi_voc12aug.py'
crop_size = (321, 321)
geometry = [
    # UniMatch scales each image by 0.5 to 2; the longer side of nearly all is 500
    dict(
        type='RandomResize',
        scale=(500, 500),
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
    batch_size=4,
    sampler=dict(num_per_source=dict(labeled=2, unlabeled=2)),
    dataset=dict(
        labeled=dict(pipeline=labeled_pipeline),
        unlabeled=dict(pipeline=unlabeled_pipeline),
    ),
)
