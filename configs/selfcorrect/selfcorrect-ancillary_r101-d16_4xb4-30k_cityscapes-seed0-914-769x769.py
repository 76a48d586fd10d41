_base_ = './selfcorrect-ancillary_r101-d16_4xb4-30k_cityscapes-seed0-200-769x769.py'
train_dataloader = dict(dataset=dict(split='splits/seed0/914'))
