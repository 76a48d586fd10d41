# Cityscapes at CPS's crop. The unlabelled part opens no mask.
_base_ = './cityscapes.py'
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
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    *geometry,
    dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')]),
]
weak_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(type='MultiBranch', unsup_teacher=[dict(type='PackSemiInputs')]),
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
