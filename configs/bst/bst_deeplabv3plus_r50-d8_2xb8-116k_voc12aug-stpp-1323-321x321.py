_base_ = [
    '../_base_/models/stpp_deeplabv3plus_r50-d8.py',
    '../_base_/datasets/staged_voc12aug.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
# branch2: the same with branch attention
method = dict(type='BST', branch2=dict(decode_head=dict(attention=dict(groups=32))))
networks = ['branch1', 'branch2']
default_hooks = dict(
    reliability=dict(networks=networks),
    # the noise is our choice, as the released code has none
    pseudo_labels=dict(networks=networks, noise=0.1),
)
train_dataloader = dict(dataset=dict(split='splits/stpp/1323'))
train_cfg = dict(max_epochs=100)
