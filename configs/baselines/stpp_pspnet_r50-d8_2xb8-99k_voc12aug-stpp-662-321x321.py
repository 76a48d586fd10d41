_base_ = [
    '../_base_/models/stpp_pspnet_r50-d8.py',
    '../_base_/datasets/staged_voc12aug.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=80)
