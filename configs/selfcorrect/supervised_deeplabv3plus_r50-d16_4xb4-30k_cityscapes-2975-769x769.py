_base_ = './supervised_deeplabv3plus_r50-d16_4xb4-30k_cityscapes-seed0-200-769x769.py'
# every image has a mask
labeled_list = 'train.txt'
