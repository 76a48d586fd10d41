_base_ = [
    '../_base_/models/cps_deeplabv3plus_r101-d16_cityscapes.py',
    '../_base_/datasets/semi_cityscapes_800.py',
    '../_base_/schedules/sgd_cps.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True, type='CPS', segmentor=_base_.model, cps_weight=5.0, cutmix=True
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.0008))
# CPS counts batches of all GPUs: 128 epochs of 348 steps
train_cfg = dict(max_iters=44544)
