_base_ = './stpp_pspnet_r50-d8_2xb8-99k_voc12aug-stpp-662-321x321.py'
train_dataloader = dict(dataset=dict(split='splits/stpp/2645'))
