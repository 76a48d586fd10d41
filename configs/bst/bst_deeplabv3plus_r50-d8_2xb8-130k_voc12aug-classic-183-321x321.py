_base_ = './bst_deeplabv3plus_r50-d8_2xb8-132k_voc12aug-classic-92-321x321.py'
split = 'splits/classic/183'
supervised_iters = 2200
reliable_iters = 65600
iters = 130100
