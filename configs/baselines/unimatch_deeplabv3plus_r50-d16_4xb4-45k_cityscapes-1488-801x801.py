_base_ = './unimatch_deeplabv3plus_r101-d16_4xb4-84k_cityscapes-186-801x801.py'
train_dataloader = dict(dataset=dict(split='splits/1488'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=44640)
