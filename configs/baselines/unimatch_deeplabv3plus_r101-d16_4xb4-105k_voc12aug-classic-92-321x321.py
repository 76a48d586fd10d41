_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/semi_voc12aug_321.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model)
train_dataloader = dict(
    dataset=dict(unlabeled=dict(pipeline=_base_.two_strong_pipeline))
)
train_cfg = dict(max_epochs=80)
