_base_ = './unimatch_deeplabv3plus_r101-d16_4xb4-84k_cityscapes-186-801x801.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
