_base_ = './st_deeplabv3plus_r50-d8_2xb8-78k_cityscapes-stpp-372-721x721.py'
split = 'splits/stpp/744'
supervised_iters = 11040
iters = 66720
