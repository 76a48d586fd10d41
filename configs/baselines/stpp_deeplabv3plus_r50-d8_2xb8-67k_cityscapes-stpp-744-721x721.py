_base_ = './stpp_deeplabv3plus_r50-d8_2xb8-78k_cityscapes-stpp-372-721x721.py'
train_dataloader = dict(dataset=dict(split='splits/stpp/744'))
# whole batches of 16 in one process, as the released code counts them
stages = dict(retrain=dict(train_cfg=dict(max_iters=66720)))
