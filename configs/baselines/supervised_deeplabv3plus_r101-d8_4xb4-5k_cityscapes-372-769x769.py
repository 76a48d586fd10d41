_base_ = [
    '../_base_/models/deeplabv3plus_r101-d8_cityscapes.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(dataset=dict(split='splits/372'))
# 200 epochs of 24 steps
train_cfg = dict(max_iters=4800)
