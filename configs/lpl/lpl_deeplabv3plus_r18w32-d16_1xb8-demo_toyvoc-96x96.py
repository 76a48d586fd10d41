_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/tags_toyvoc.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
lpl_lr = 0.005
lr = 0.005
scales = [1.0]
crf = None
