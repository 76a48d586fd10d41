_base_ = [
    '../_base_/models/lpl_deeplabv3plus_r101-d8.py',
    '../_base_/datasets/tags_voc12aug.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_30k_classifier10x.py',
    '../_base_/default_runtime.py',
]
stages = dict(
    lpl=dict(
        **_base_.tagged,
        default_hooks=dict(pseudo_labels=dict(tags=_base_.tag_file)),
        optim_wrapper=dict(optimizer=dict(lr=0.001)),
        train_cfg=dict(max_iters=20000),
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=5, weak=5))),
    ),
    retrain=dict(
        # all images alike, whether they have a mask or a label
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(_delete_=True, every=16))
        ),
    ),
)
