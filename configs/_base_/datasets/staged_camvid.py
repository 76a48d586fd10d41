# CamVid for recipes: labelled images, and those that learn from labels of an earlier
# stage, under the names that ST and ST++ have for them.
_base_ = './camvid.py'
pseudo = dict(
    type='CamVidDataset',
    data_prefix=dict(img_path='images/train'),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    pipeline=[
        *_base_.train_pipeline[:-1],
        dict(type='StrongPhotometric'),
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
