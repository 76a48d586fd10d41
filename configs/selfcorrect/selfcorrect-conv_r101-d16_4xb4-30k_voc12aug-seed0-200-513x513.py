_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/boxes_voc12aug.py',
    '../_base_/recipes/selfcorrect_conv.py',
    '../_base_/schedules/schedule_30k.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    ancillary=_base_.ancillary,
    correction=dict(method=dict(ancillary=_base_.ancillary.model)),
    primary=dict(
        method=dict(ancillary=_base_.ancillary.model),
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=2, weak=2))),
    ),
)
