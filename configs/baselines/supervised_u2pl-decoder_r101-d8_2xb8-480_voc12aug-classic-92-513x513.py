_base_ = [
    '../_base_/models/u2pl_r101-d8.py',
    '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
# 80 epochs of 6 steps
train_cfg = dict(max_iters=480)
# the decoder's representation has no gradient here
find_unused_parameters = True
