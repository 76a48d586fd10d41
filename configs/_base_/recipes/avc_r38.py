# AVC with the published trainings of AffinityNet and LargeFOV on ResNet-38.
_base_ = './avc.py'
stages = dict(
    affinity=dict(
        # PSA: 8 epochs of 10582 images. Its released optimiser has no momentum: what is
        # given as such is poly's power
        train_cfg=dict(max_iters=10582),
        optim_wrapper=dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.01, momentum=0.0, weight_decay=5e-4),
            paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
        ),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=10583)
        ],
    ),
    segment=dict(train_dataloader=dict(sampler=dict(num_per_source=dict(pseudo=5)))),
)
