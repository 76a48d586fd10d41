_base_ = './cps_deeplabv3plus_r101-d16_4xb4-45k_cityscapes-186-800x800.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=44525)
