_base_ = './stpp_pspnet_r50-d8_2xb8-99k_voc12aug-stpp-662-321x321.py'
split = 'splits/stpp/1323'
supervised_iters = 6560
reliable_iters = 49600
iters = 92560
