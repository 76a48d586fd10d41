_base_ = './st_deeplabv3plus_r50-d8_2xb8-105k_voc12aug-classic-92-321x321.py'
split = 'splits/stpp/2645'
supervised_iters = 13200
iters = 92560
