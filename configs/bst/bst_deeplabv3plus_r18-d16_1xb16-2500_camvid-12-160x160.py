_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/staged_camvid.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_2500_adamw.py',
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
supervised_iters = 2500
reliable_iters = 2500
iters = 2500
# as many labelled images a step as without the others
batch_size = 16
reliable_batch = dict(labeled=8, reliable=8)
batch = dict(labeled=8, reliable=4, unreliable=4)
networks = ['branch1', 'branch2']
# our choice, as the released code has no noise
noise = 0.1
scales = [0.75, 1.0, 1.25]
