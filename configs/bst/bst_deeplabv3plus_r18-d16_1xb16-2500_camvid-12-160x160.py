_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/staged_camvid.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
# branch2: mmseg's head with branch attention; the rest is as branch1
method = dict(
    type='BST',
    branch2=dict(
        decode_head=dict(type='BranchAttentionSepASPPHead', attention_groups=32)
    ),
)
networks = ['branch1', 'branch2']
default_hooks = dict(
    reliability=dict(networks=networks),
    # the noise is our choice, as the released code has none
    pseudo_labels=dict(networks=networks, noise=0.1),
)
label = dict(default_hooks=dict(pseudo_labels=dict(scales=[0.75, 1.0, 1.25])))
# as many labelled images a step as without the others
half = dict(labeled=8, reliable=8)
rest = dict(labeled=8, reliable=4, unreliable=4)
stages = dict(
    supervised=label,
    retrain_reliable=dict(
        label, train_dataloader=dict(sampler=dict(num_per_source=half))
    ),
    retrain=dict(train_dataloader=dict(sampler=dict(num_per_source=rest))),
)
