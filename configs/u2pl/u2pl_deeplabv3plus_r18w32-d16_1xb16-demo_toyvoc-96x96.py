_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/semi_toyvoc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# the first steps are on labels alone: a teacher that knows nothing teaches nothing
model = dict(
    _delete_=True,
    type='U2PL',
    segmentor=_base_.model,
    rep_channels=64,
    bank_size=5000,
    bank_size_first=5000,
    # a teacher that saw 24 images is often wrong: learn from its surest pixels only,
    # and never from an image that it has just labelled as it is
    unreliable_percent=40,
    mix_prob=1.0,
    warmup_iters=0.4,
)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
