_base_ = './bst_deeplabv3plus_r50-d8_2xb8-78k_cityscapes-stpp-372-721x721.py'
model = dict(
    segmentor=dict(
        backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
    )
)
