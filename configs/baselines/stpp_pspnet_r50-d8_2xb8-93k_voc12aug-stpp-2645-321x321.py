_base_ = './stpp_pspnet_r50-d8_2xb8-99k_voc12aug-stpp-662-321x321.py'
split = 'splits/stpp/2645'
supervised_iters = 13200
reliable_iters = 46240
iters = 92560
