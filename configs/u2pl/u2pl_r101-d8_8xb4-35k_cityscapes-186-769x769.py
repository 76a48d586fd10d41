_base_ = [
    '../_base_/models/u2pl_r101-d8_cityscapes.py',
    '../_base_/datasets/semi_cityscapes.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='U2PL', segmentor=_base_.model)
train_cfg = dict(max_epochs=200)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
