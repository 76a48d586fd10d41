# CPS's DeepLabV3+ for Cityscapes, on ResNet-50-v1c.
_base_ = './cps_deeplabv3plus_r101-d16_cityscapes.py'
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
)
