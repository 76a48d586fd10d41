_base_ = [
    '../_base_/models/stpp_deeplabv3plus_r50-d8.py',
    '../_base_/datasets/staged_voc12aug.py',
    '../_base_/recipes/st.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
split = 'splits/classic/92'
supervised_iters = 880
iters = 105280
