# Self-correcting networks with the linear correction, or with none: the primary model,
# which is `model` and remains, learns from F and from what the ancillary model makes
# of the boxes of W.
_base_ = './selfcorrect_ancillary.py'
stages = dict(
    primary=dict(
        method=dict(
            type='SelfCorrect',
            ancillary=_base_.stages.ancillary.model,
            ancillary_checkpoint='{ancillary.last}',
            mode='linear',
            alpha_start=30.0,
            alpha_end=0.5,
        ),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=8, weak=8)),
            collate_fn=dict(type='branch_collate'),
        ),
        custom_hooks=[dict(type='ExactResumeHook'), dict(type='SetIterHook')],
    )
)
