_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_4k_adamw.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.model
segmentor.decode_head.num_classes = 11
model = dict(_delete_=True, type='U2PL', segmentor=segmentor)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
