# Self-correcting networks with the convolutional correction: the ancillary model learns
# from half of F, so that the correction sees what it does on images that it has not
# learned; the primary model and the correction from all of F; both from F and W, on
# from the weights of the second stage.
_base_ = './selfcorrect_ancillary.py'
stages = dict(
    # by tools/make_splits.py generate --ids labeled.txt --fraction 1/2 --out half
    ancillary=dict(
        train_dataloader=dict(dataset=dict(labeled=dict(subset='half/labeled')))
    ),
    correction=dict(
        method=dict(
            type='SelfCorrect',
            ancillary=_base_.stages.ancillary.model,
            ancillary_checkpoint='{ancillary.last}',
            mode='conv',
            hidden=128,
            final_relu=False,
            weak_weight=0.0,
        ),
        train_dataloader=dict(collate_fn=dict(type='branch_collate')),
    ),
    primary=dict(
        method=dict(
            type='SelfCorrect',
            ancillary=_base_.stages.ancillary.model,
            mode='conv',
            hidden=128,
            final_relu=False,
        ),
        # with the ancillary model in it
        load_from='{correction.last}',
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=8, weak=8)),
            collate_fn=dict(type='branch_collate'),
        ),
    ),
)
