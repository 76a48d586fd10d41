_base_ = [
    '../_base_/models/u2pl_r101-d8.py',
    '../_base_/datasets/semi_voc12aug.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='U2PL', segmentor=_base_.model, warmup_iters=1 / 80)
# of the unlabelled images; the first epoch is on labels alone
train_cfg = dict(max_epochs=80)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
