_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r101-d16_cityscapes.py',
    '../_base_/datasets/semi_cityscapes_801.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py',
]
# every pixel is labelled, as released
model = dict(_delete_=True, type='FixMatch', segmentor=_base_.model, threshold=0.0)
optim_wrapper = dict(optimizer=dict(lr=0.005, weight_decay=0.0001))
# 240 epochs of 349 steps
train_cfg = dict(max_iters=83760)
