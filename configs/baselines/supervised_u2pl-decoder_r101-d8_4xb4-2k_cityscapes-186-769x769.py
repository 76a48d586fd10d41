_base_ = [
    '../_base_/models/u2pl_r101-d8_cityscapes.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# 200 epochs of 12 steps
train_cfg = dict(max_iters=2400)
# the decoder's representation has no gradient here
find_unused_parameters = True
