_base_ = './selfcorrect-conv_r50-d16_4xb4-30k_cityscapes-seed0-200-769x769.py'
split = 'splits/seed0/914'
