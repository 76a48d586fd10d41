_base_ = './u2pl_r101-d8_8xb4-35k_cityscapes-186-769x769.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
