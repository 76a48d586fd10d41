_base_ = './supervised_u2pl-decoder_r101-d8_4xb4-2k_cityscapes-186-769x769.py'
train_dataloader = dict(dataset=dict(split='splits/1488'))
