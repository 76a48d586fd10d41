_base_ = './st_deeplabv3plus_r101-d8_2xb8-99k_voc12aug-stpp-662-321x321.py'
train_dataloader = dict(dataset=dict(split='splits/classic/732'))
