_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/tags_camvid.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
background = False
lpl_iters = 2500
iters = 2500
# as many labelled images a step as without the others
batch_size = 16
batch = dict(labeled=8, pseudo=8)
scales = [0.75, 1.0, 1.25]
crf = None
