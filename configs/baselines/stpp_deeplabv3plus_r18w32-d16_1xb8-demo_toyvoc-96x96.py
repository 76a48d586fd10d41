_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/staged_toyvoc.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
label = dict(default_hooks=dict(pseudo_labels=dict(scales=[1.0])))
stages = dict(supervised=label, retrain_reliable=label)
