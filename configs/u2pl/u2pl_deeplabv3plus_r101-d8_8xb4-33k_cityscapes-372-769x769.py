_base_ = [
    '../_base_/models/deeplabv3plus_r101-d8_cityscapes.py',
    '../_base_/datasets/semi_cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(dataset=dict(split='splits/372'))
model = dict(_delete_=True, type='U2PL', segmentor=_base_.model)
# 200 epochs of 163 steps
train_cfg = dict(max_iters=32600)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
