# ToyVOC for recipes: labelled images, and what a stage learns from labels of its own.
_base_ = './toyvoc.py'
images = 'JPEGImages'
img_suffix = '.jpg'
split = 'splits/seed0/24'
pseudo = dict(
    type='ToyVOCDataset',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    img_suffix='{img_suffix}',
    pipeline=[
        *_base_.train_pipeline[:-1],
        # no blur: the texture is half of what makes a class
        dict(type='StrongPhotometric', blur_prob=0.0),
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
