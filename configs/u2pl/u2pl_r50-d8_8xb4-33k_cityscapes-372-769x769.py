_base_ = './u2pl_r101-d8_8xb4-35k_cityscapes-186-769x769.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=32600)
