_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/boxes_voc12aug.py',
    '../_base_/recipes/selfcorrect_ancillary.py',
    '../_base_/schedules/schedule_30k.py',
    '../_base_/default_runtime.py',
]
stages = dict(ancillary=_base_.ancillary)
