_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r101-d16_cityscapes.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_30k.py',
    '../_base_/default_runtime.py',
]
# every image has a mask
train_dataloader = dict(dataset=dict(labeled=dict(ann_file='train.txt')))
