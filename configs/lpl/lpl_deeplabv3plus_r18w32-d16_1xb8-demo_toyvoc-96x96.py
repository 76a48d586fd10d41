_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/tags_toyvoc.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    lpl=dict(
        **_base_.tagged,
        default_hooks=dict(pseudo_labels=dict(tags=_base_.tag_file, scales=[1.0])),
    ),
    retrain=dict(
        train_dataloader=dict(
            dataset=dict(labeled=dict(pipeline=_base_.learn_pipeline))
        ),
        tta_model=dict(crf=None),
    ),
)
