# Cityscapes for recipes, at ST++'s crop: labelled images, and those that learn from
# labels of an earlier stage, under the names that ST and ST++ have for them.
_base_ = './cityscapes.py'
crop_size = (721, 721)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    # the longer side becomes 1024 to 4096 pixels, whatever it was
    dict(
        type='RandomResize',
        scale=(2048, 2048),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
pseudo = dict(
    type='CityscapesDataset',
    data_prefix=dict(img_path='leftImg8bit/train'),
    img_suffix='_leftImg8bit.png',
    # the labels' names, not those of the true masks
    seg_map_suffix='.png',
    pipeline=[
        *train_pipeline[:-1],
        dict(type='StrongPhotometric'),
        dict(type='NoiseCutOut'),
        dict(type='PackSegInputs'),
    ],
)
# tools/test.py --tta
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale_factor=factor, keep_ratio=True)
    for factor in (0.5, 0.75, 1.0, 1.5, 2.0)
]
train_dataloader = dict(
    batch_size=None,
    dataset=dict(
        split='splits/stpp/372',
        labeled=dict(pipeline=train_pipeline),
        pseudo=pseudo,
        reliable=pseudo,
        unreliable=pseudo,
    ),
)
