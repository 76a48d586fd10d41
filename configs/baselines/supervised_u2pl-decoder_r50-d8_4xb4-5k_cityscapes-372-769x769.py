_base_ = './supervised_u2pl-decoder_r101-d8_4xb4-2k_cityscapes-186-769x769.py'
train_dataloader = dict(dataset=dict(split='splits/372'))
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c')),
)
train_cfg = dict(max_iters=4800)
