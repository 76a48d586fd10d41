_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/boxes_toyvoc.py',
    '../_base_/recipes/selfcorrect_conv.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    ancillary=_base_.ancillary,
    correction=dict(method=dict(ancillary=_base_.ancillary.model)),
    primary=dict(method=dict(ancillary=_base_.ancillary.model)),
)
