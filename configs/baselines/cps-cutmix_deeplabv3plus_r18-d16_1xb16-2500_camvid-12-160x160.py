_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
# from scratch: the labelled images alone first
model = dict(
    _delete_=True,
    type='CPS',
    segmentor=_base_.model,
    cutmix=True,
    warmup_iters=0.2,
)
# both networks see the weak view alone
train_dataloader = dict(dataset=dict(unlabeled=dict(pipeline=_base_.weak_pipeline)))
custom_hooks = [dict(type='ExactResumeHook'), dict(type='SetIterHook')]
