_base_ = './u2pl_r101-d8_4xb8-52k_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/blender/2646'))
model = dict(warmup_iters=496)
train_cfg = dict(max_iters=39680)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook', start_iter=496),
]
