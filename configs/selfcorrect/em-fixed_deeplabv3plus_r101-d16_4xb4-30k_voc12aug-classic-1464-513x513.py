_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/boxes_voc12aug.py',
    '../_base_/recipes/selfcorrect_em-fixed.py',
    '../_base_/schedules/schedule_30k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(dataset=dict(split='splits/classic/1464'))
stages = dict(
    primary=dict(
        method=dict(num_box_classes=_base_.num_box_classes),
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=2, weak=2))),
    )
)
