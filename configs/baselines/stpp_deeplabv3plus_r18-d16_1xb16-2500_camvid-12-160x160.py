_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/staged_camvid.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
label = dict(default_hooks=dict(pseudo_labels=dict(scales=[0.75, 1.0, 1.25])))
# as many labelled images a step as without the others
half = dict(labeled=8, reliable=8)
rest = dict(labeled=8, reliable=4, unreliable=4)
stages = dict(
    supervised=label,
    retrain_reliable=dict(
        label, train_dataloader=dict(sampler=dict(num_per_source=half))
    ),
    retrain=dict(train_dataloader=dict(sampler=dict(num_per_source=rest))),
)
