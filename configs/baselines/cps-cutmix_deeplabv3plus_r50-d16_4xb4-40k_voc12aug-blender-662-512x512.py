_base_ = [
    '../_base_/models/cps_deeplabv3plus_r50-d16.py',
    '../_base_/datasets/semi_voc12aug_512.py',
    '../_base_/schedules/sgd_cps.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True, type='CPS', segmentor=_base_.model, cps_weight=1.0, cutmix=True
)
train_dataloader = dict(dataset=dict(split='splits/blender/662'))
# CPS counts batches of all GPUs: 32 epochs of 1240 steps
train_cfg = dict(max_iters=39680)
