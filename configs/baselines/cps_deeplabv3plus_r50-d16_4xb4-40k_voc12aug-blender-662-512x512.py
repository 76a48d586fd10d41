_base_ = './cps_deeplabv3plus_r101-d16_4xb4-40k_voc12aug-blender-662-512x512.py'
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
