_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/semi_toyvoc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# 32 channels instead of 64: many more steps in the same minutes
segmentor = _base_.model
segmentor.data_preprocessor.size = (96, 96)
segmentor.backbone.update(stem_channels=32, base_channels=32, zero_init_residual=False)
segmentor.decode_head.update(
    in_channels=256,
    channels=64,
    dilations=(1, 2, 4),
    c1_in_channels=32,
    c1_channels=24,
    dropout_ratio=0.0,
    num_classes=7,
)
# the first steps are on labels alone: a teacher that knows nothing teaches nothing
model = dict(
    _delete_=True,
    type='U2PL',
    segmentor=segmentor,
    rep_channels=64,
    bank_size=5000,
    bank_size_first=5000,
    # a teacher that saw 24 images is often wrong: learn from its surest pixels only,
    # and never from an image that it has just labelled as it is
    unreliable_percent=40,
    mix_prob=1.0,
    warmup_iters=400,
)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook', start_iter=400),
]
