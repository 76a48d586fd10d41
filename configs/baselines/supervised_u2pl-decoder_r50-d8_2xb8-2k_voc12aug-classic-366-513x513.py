_base_ = './supervised_u2pl-decoder_r101-d8_2xb8-480_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/classic/366'))
model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c')),
)
train_cfg = dict(max_iters=1840)
