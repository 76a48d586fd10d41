_base_ = './st_deeplabv3plus_r50-d8_2xb8-105k_voc12aug-classic-92-321x321.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
)
split = 'splits/classic/732'
supervised_iters = 3600
iters = 100480
