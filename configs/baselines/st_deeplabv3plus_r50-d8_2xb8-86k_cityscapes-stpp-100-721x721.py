_base_ = './st_deeplabv3plus_r50-d8_2xb8-78k_cityscapes-stpp-372-721x721.py'
train_dataloader = dict(dataset=dict(split='splits/stpp/100'))
supervised = dict(train_cfg=dict(max_iters=2880))
retrain = dict(train_cfg=dict(max_iters=86400))
stages = dict(supervised=supervised, retrain=retrain)
