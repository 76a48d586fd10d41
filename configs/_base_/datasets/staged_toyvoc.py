# ToyVOC for recipes: labelled images, and those that learn from labels of an earlier
# stage, under the names that ST and ST++ have for them.
_base_ = './toyvoc.py'
pseudo = dict(
    type='ToyVOCDataset',
    data_prefix=dict(img_path='JPEGImages'),
    img_suffix='.jpg',
    pipeline=[
        *_base_.train_pipeline[:-1],
        # no blur: the texture is half of what makes a class
        dict(type='StrongPhotometric', blur_prob=0.0),
        dict(type='NoiseCutOut'),
        dict(type='PackSegInputs'),
    ],
)
train_dataloader = dict(
    batch_size=None,
    dataset=dict(
        pseudo=pseudo,
        reliable=pseudo,
        unreliable=pseudo,
    ),
)
