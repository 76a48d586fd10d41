_base_ = [
    '../_base_/models/u2pl_r101-d8_cityscapes.py',
    '../_base_/datasets/semi_cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='U2PL', segmentor=_base_.model)
# 200 epochs of 174 steps
train_cfg = dict(max_iters=34800)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
