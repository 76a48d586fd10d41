_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/staged_toyvoc.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# branch2: mmseg's head with branch attention; the rest is as branch1
model = dict(
    _delete_=True,
    type='BST',
    segmentor=_base_.model,
    branch2=dict(
        decode_head=dict(type='BranchAttentionSepASPPHead', attention_groups=32)
    ),
)
networks = ['branch1', 'branch2']
# our choice, as the released code has no noise
noise = 0.1
scales = [1.0]
