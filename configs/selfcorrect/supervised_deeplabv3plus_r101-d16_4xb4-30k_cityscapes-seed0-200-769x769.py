_base_ = './supervised_deeplabv3plus_r50-d16_4xb4-30k_cityscapes-seed0-200-769x769.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='open-mmlab://resnet101_v1c'))
)
