_base_ = './unimatch_deeplabv3plus_r101-d16_4xb4-105k_voc12aug-classic-92-321x321.py'
train_dataloader = dict(dataset=dict(split='splits/classic/1464'))
