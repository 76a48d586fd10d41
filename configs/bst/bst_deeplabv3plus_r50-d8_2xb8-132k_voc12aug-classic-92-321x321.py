_base_ = [
    '../_base_/models/stpp_deeplabv3plus_r50-d8.py',
    '../_base_/datasets/staged_voc12aug.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
# branch2: the same with branch attention
model = dict(
    _delete_=True,
    type='BST',
    segmentor=_base_.model,
    branch2=dict(decode_head=dict(attention=dict(groups=32))),
)
networks = ['branch1', 'branch2']
# our choice, as the released code has no noise
noise = 0.1
split = 'splits/classic/92'
supervised_iters = 1100
reliable_iters = 66100
iters = 131600
