# COCO 2014. No setting of AVC on COCO is published: the lengths are our choice.
_base_ = './avc_largefov_r38-d8_1xb5-45k_voc12aug-tags-448x448.py'
data_root = 'data/coco2014/'
dataset_type = 'COCOObjectDataset'
images = 'train2014'
val_images = 'val2014'
listed = 'ImageSets/train.txt'
val_listed = 'ImageSets/val.txt'
tags = '{data_root}/tags_train.json'
val_tags = '{data_root}/tags_val.json'
tags_format = 'file'
num_objects = 80
num_classes = 81
classify_iters = 100000
affinity_iters = 20000
affinity_schedule = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=20001)
]
iters = 100000
schedule = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=100002)]
sure_crf = dict(num_labels=81)
walk_crf = dict(num_labels=81)
val_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset', data_prefix=dict(seg_map_path='masks_val2014')
    )
)
test_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset', data_prefix=dict(seg_map_path='masks_val2014')
    )
)
