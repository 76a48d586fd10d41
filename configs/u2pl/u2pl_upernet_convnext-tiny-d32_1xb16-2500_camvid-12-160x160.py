_base_ = [
    '../_base_/models/upernet_convnext-tiny_camvid.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
# from scratch: the labelled images alone first
model = dict(_delete_=True, type='U2PL', segmentor=_base_.model, warmup_iters=0.2)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
