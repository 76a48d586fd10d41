_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/staged_camvid.py',
    '../_base_/recipes/st.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    supervised=dict(default_hooks=dict(pseudo_labels=dict(scales=[0.75, 1.0, 1.25]))),
    retrain=dict(
        # as many labelled images a step as without the others
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=8, pseudo=8)))
    ),
)
