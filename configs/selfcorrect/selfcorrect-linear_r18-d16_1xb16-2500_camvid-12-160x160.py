_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/boxes_camvid.py',
    '../_base_/recipes/selfcorrect.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    ancillary=_base_.ancillary,
    primary=dict(method=dict(ancillary=_base_.ancillary.model)),
)
