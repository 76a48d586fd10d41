# CamVid for recipes: labelled images, and what a stage learns from labels of its own.
_base_ = './camvid.py'
images = 'images/train'
img_suffix = '.jpg'
split = 'splits/12'
pseudo = dict(
    type='CamVidDataset',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    img_suffix='{img_suffix}',
    seg_map_suffix='.png',
    pipeline=[
        *_base_.train_pipeline[:-1],
        dict(type='StrongPhotometric'),
        dict(type='NoiseCutOut'),
        dict(type='PackSegInputs'),
    ],
)
train_dataloader = dict(
    dataset=dict(
        labeled=dict(
            data_root='{data_root}',
            data_prefix=dict(img_path='{images}'),
            img_suffix='{img_suffix}',
            ann_file='{split}/labeled.txt',
        )
    )
)
val_dataloader = dict(dataset=dict(data_root='{data_root}'))
test_dataloader = val_dataloader
