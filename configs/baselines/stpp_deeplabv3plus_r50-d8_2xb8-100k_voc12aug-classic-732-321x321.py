_base_ = './stpp_deeplabv3plus_r50-d8_2xb8-105k_voc12aug-classic-92-321x321.py'
split = 'splits/classic/732'
supervised_iters = 3600
reliable_iters = 50240
iters = 100480
