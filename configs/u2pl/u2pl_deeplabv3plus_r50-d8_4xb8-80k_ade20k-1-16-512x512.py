_base_ = [
    '../_base_/models/deeplabv3plus_r50-d8.py',
    '../_base_/datasets/semi_ade20k.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.model
segmentor.data_preprocessor.size = (512, 512)
segmentor.decode_head.num_classes = 150
# 150 banks of 30000 rows would take 2.3 GB
model = dict(
    _delete_=True,
    type='U2PL',
    segmentor=segmentor,
    bank_size=10000,
    bank_size_first=10000,
    warmup_iters=1000,
)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook', start_iter=1000),
]
