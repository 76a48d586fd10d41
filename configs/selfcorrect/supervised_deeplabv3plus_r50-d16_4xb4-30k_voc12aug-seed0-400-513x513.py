_base_ = './supervised_deeplabv3plus_r50-d16_4xb4-30k_voc12aug-seed0-200-513x513.py'
split = 'splits/seed0/400'
