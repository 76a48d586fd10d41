_base_ = './bst_deeplabv3plus_r50-d8_2xb8-132k_voc12aug-classic-92-321x321.py'
split = 'splits/classic/1464'
supervised_iters = 9100
reliable_iters = 65000
iters = 121000
