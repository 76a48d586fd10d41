_base_ = './bst_deeplabv3plus_r50-d8_2xb8-132k_voc12aug-classic-92-321x321.py'
split = 'splits/stpp/1323'
supervised_iters = 8200
reliable_iters = 62000
iters = 115700
