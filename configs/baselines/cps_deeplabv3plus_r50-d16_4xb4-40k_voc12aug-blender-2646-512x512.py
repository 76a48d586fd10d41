_base_ = './cps_deeplabv3plus_r50-d16_4xb4-40k_voc12aug-blender-662-512x512.py'
train_dataloader = dict(dataset=dict(split='splits/blender/2646'))
train_cfg = dict(max_iters=39680)
