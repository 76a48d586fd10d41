_base_ = './u2pl_r101-d8_4xb8-52k_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/blender/1323'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
    warmup_iters=578,
)
train_cfg = dict(max_iters=46240)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook', start_iter=578),
]
