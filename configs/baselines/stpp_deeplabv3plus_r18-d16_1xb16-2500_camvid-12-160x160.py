_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/staged_camvid.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
supervised_iters = 2500
reliable_iters = 2500
iters = 2500
# as many labelled images a step as without the others
batch_size = 16
reliable_batch = dict(labeled=8, reliable=8)
batch = dict(labeled=8, reliable=4, unreliable=4)
scales = [0.75, 1.0, 1.25]
