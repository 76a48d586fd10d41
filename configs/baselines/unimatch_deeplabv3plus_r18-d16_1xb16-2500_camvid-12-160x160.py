_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model)
train_dataloader = dict(
    dataset=dict(unlabeled=dict(pipeline=_base_.two_strong_pipeline))
)
