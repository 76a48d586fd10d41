_base_ = './st_deeplabv3plus_r50-d8_2xb8-105k_voc12aug-classic-92-321x321.py'
split = 'splits/classic/183'
supervised_iters = 1760
iters = 104080
