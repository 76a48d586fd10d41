_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/boxes_toyvoc.py',
    '../_base_/recipes/selfcorrect_em-fixed.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
stages = dict(primary=dict(method=dict(num_box_classes=_base_.num_box_classes)))
