_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/staged_toyvoc.py',
    '../_base_/recipes/stpp.py',
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
# branch2: mmseg's head with branch attention; the rest is as branch1
model = dict(
    _delete_=True,
    type='BST',
    segmentor=segmentor,
    branch2=dict(
        decode_head=dict(type='BranchAttentionSepASPPHead', attention_groups=32)
    ),
)
networks = ['branch1', 'branch2']
# our choice, as the released code has no noise
noise = 0.1
scales = [1.0]
