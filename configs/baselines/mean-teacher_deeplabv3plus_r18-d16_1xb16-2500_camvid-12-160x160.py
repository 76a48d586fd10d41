_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True, type='MeanTeacher', segmentor=_base_.model, rampup_iters=0.2
)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
