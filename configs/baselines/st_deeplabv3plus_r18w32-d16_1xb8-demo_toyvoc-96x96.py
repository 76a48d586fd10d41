_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/staged_toyvoc.py',
    '../_base_/recipes/st.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
stages = dict(supervised=dict(default_hooks=dict(pseudo_labels=dict(scales=[1.0]))))
