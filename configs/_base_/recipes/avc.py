# AVC: a classifier of image tags, whose activation maps are seeds; AffinityNet, which
# learns from the sure ones and spreads them; a segmentor, which is the config's model
# and learns from these labels. No stage opens a mask. A main config says which networks
# the first two are, and how seeds and labels are made.
stages = dict(
    classify=dict(
        train_dataloader=dict(sampler=dict(num_per_source=dict(tagged=8))),
        val_evaluator=dict(_delete_=True, type='TagAveragePrecision'),
        default_hooks=dict(
            checkpoint=dict(save_best=None),
            cams=dict(type='CamHook', part='tagged'),
            affinity_labels=dict(type='AffinityLabelHook', part='tagged'),
        ),
        custom_hooks=[dict(type='ExactResumeHook'), dict(type='SetIterHook')],
    ),
    affinity=dict(
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(sure=8)),
            dataset=dict(
                sure=dict(
                    data_prefix=dict(seg_map_path='{work_dir}/classify/affinity_labels')
                )
            ),
        ),
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
        default_hooks=dict(
            checkpoint=dict(save_best=None),
            pseudo_labels=dict(
                type='RandomWalkHook', part='tagged', cams='{work_dir}/classify/cams'
            ),
        ),
    ),
    segment=dict(
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(pseudo=8)),
            dataset=dict(
                pseudo=dict(
                    data_prefix=dict(seg_map_path='{work_dir}/affinity/pseudo_labels')
                )
            ),
        )
    ),
)
