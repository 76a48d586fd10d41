_base_ = [
    '../_base_/models/stpp_pspnet_r50-d8.py',
    '../_base_/datasets/staged_voc12aug.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
split = 'splits/stpp/662'
supervised_iters = 3280
reliable_iters = 51280
iters = 99200
