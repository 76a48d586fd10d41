_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/semi_voc12aug_321.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='FixMatch', segmentor=_base_.model)
train_cfg = dict(max_epochs=80)
