# CPS's DeepLabV3+, on ResNet-50-v1c.
_base_ = './cps_deeplabv3plus_r101-d16.py'
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
)
