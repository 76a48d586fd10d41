# EM-Fixed on the data of self-correcting networks: masks on F, boxes on W, no ancillary
# model. `model` is the network that remains.
stages = dict(
    primary=dict(
        method=dict(type='SelfCorrect', mode='em-fixed', bg_bias=5.0, fg_bias=6.0),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=8, weak=8)),
            collate_fn=dict(type='branch_collate'),
        ),
    )
)
