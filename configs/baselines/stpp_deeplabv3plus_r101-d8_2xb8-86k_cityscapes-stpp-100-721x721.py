_base_ = './stpp_deeplabv3plus_r50-d8_2xb8-78k_cityscapes-stpp-372-721x721.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
)
split = 'splits/stpp/100'
supervised_iters = 2880
reliable_iters = 43920
iters = 86400
