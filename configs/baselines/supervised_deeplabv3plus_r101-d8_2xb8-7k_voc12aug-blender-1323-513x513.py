_base_ = [
    '../_base_/models/deeplabv3plus_r101-d8.py',
    '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(dataset=dict(split='splits/blender/1323'))
# 80 epochs of 83 steps
train_cfg = dict(max_iters=6640)
