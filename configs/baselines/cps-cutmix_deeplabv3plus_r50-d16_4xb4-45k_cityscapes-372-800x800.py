_base_ = './cps-cutmix_deeplabv3plus_r50-d16_4xb4-45k_cityscapes-186-800x800.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
train_cfg = dict(max_iters=44525)
