_base_ = './stpp_deeplabv3plus_r101-d8_2xb8-99k_voc12aug-stpp-662-321x321.py'
train_dataloader = dict(dataset=dict(split='splits/classic/1464'))
# whole batches of 16 in one process, as the released code counts them
stages = dict(retrain_reliable=dict(train_cfg=dict(max_iters=52000)))
