_base_ = './deeplabv3plus_r101-d8.py'
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
)
