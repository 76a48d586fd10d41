_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/staged_toyvoc.py',
    '../_base_/recipes/st.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# 32 channels instead of 64: many more steps in the same minutes
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(stem_channels=32, base_channels=32, zero_init_residual=False),
    decode_head=dict(
        in_channels=256,
        channels=64,
        dilations=(1, 2, 4),
        c1_in_channels=32,
        c1_channels=24,
        dropout_ratio=0.0,
        num_classes=7,
    ),
)
scales = [1.0]
