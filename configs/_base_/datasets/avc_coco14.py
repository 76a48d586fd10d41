# COCO 2014 for AVC: all training images with a thing and with their tags, no mask.
_base_ = './avc_voc12aug.py'
data_root = 'data/coco2014/'
tag_file = data_root + 'tags_train.json'
load_tags = dict(
    type='LoadImageTags', format='file', path=tag_file, classes='COCOObjectDataset'
)
images = dict(
    data_prefix=dict(img_path='train2014'),
    ann_file='ImageSets/train.txt',
)
classify_pipeline = [
    load_tags if step.type == 'LoadImageTags' else step
    for step in _base_.classify_pipeline
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        tagged=dict(images, pipeline=classify_pipeline),
        sure=dict(images, type='COCOObjectDataset'),
        pseudo=dict(images, type='COCOObjectDataset'),
    )
)
tagged_val = dict(
    data_root=data_root,
    data_prefix=dict(img_path='val2014'),
    ann_file='ImageSets/val.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(load_tags, path=data_root + 'tags_val.json'),
        dict(type='PackSemiInputs'),
    ],
)
val_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset',
        data_root=data_root,
        data_prefix=dict(img_path='val2014', seg_map_path='masks_val2014'),
        ann_file='ImageSets/val.txt',
    )
)
test_dataloader = val_dataloader
