_base_ = './bst_deeplabv3plus_r50-d8_2xb8-132k_voc12aug-classic-92-321x321.py'
model = dict(
    segmentor=dict(
        backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101'))
    )
)
split = 'splits/stpp/2645'
supervised_iters = 16500
reliable_iters = 57800
iters = 115700
