_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/tags_camvid.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    lpl=dict(
        **_base_.tagged,
        method=dict(background=False),
        default_hooks=dict(
            pseudo_labels=dict(tags=_base_.tag_file, scales=[0.75, 1.0, 1.25])
        ),
    ),
    retrain=dict(
        # as many labelled images a step as without the others
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=8, pseudo=8)),
            dataset=dict(labeled=dict(pipeline=_base_.learn_pipeline)),
        ),
        tta_model=dict(crf=None),
    ),
)
