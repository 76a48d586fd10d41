_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/boxes_camvid.py',
    '../_base_/recipes/selfcorrect_em-fixed.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
stages = dict(primary=dict(method=dict(num_box_classes=_base_.num_box_classes)))
