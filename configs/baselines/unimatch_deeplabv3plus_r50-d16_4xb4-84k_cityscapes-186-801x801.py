_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r50-d16_cityscapes.py',
    '../_base_/datasets/semi_cityscapes_801.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
# every pixel is labelled, as released
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model, threshold=0.0)
train_dataloader = dict(
    dataset=dict(unlabeled=dict(pipeline=_base_.two_strong_pipeline))
)
optim_wrapper = dict(optimizer=dict(lr=0.005, weight_decay=0.0001))
train_cfg = dict(max_epochs=240)
