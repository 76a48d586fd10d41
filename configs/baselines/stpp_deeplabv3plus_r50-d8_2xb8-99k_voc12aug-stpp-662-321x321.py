_base_ = './stpp_deeplabv3plus_r50-d8_2xb8-105k_voc12aug-classic-92-321x321.py'
split = 'splits/stpp/662'
supervised_iters = 3280
reliable_iters = 51280
iters = 99200
