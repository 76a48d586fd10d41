_base_ = './fixmatch_deeplabv3plus_r101-d16_4xb4-105k_voc12aug-classic-92-321x321.py'
train_dataloader = dict(dataset=dict(split='splits/classic/183'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=104000)
