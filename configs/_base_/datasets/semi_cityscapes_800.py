# Cityscapes at CPS's crop. The unlabelled part opens no mask.
_base_ = './semi_cityscapes.py'
crop_size = (800, 800)
geometry = [
    # CPS scales each image by one of 0.5, 0.75, 1, 1.5, 1.75 and 2; the longer side of
    # nearly all is 2048
    dict(
        type='RandomChoiceResize',
        scales=[
            (1024, 1024),
            (1536, 1536),
            (2048, 2048),
            (3072, 3072),
            (3584, 3584),
            (4096, 4096),
        ],
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
    dict(type='MultiBranch', unsup_teacher=[dict(type='PackSemiInputs')]),
]
train_dataloader = dict(
    dataset=dict(
        labeled=dict(pipeline=labeled_pipeline),
        unlabeled=dict(pipeline=unlabeled_pipeline),
    ),
)
