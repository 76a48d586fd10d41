# LPL: HybridNet and PseudoNet learn from few masks and many tags; HybridNet labels,
# within the tags; a network by itself learns from masks and labels.
# A main config says how long each stage is, and gives the pipelines with tags.
stages = dict(
    lpl=dict(
        method=dict(
            type='LPL',
            # whether class 0 is the background
            background=True,
            # one for each class; None: all alike, as released
            class_weight=None,
            # of both networks: images of validation and test with their tags
            predict_with_tags=True,
        ),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=8, weak=8)),
            collate_fn=dict(type='branch_collate'),
            # the images with masks are among the weak ones
            dataset=dict(allow_overlap=True),
        ),
        tta_model=dict(_delete_=True, type='LogitTTAModel'),
        default_hooks=dict(
            pseudo_labels=dict(
                type='PseudoLabelHook',
                part='pseudo',
                networks=['hybrid'],
                # test-time augmentation, whose scores are averaged
                scales=[0.5, 0.75, 1.0, 1.25, 1.5],
                flip=True,
                fuse='logits',
            )
        ),
    ),
    retrain=dict(
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=4, pseudo=4))),
        # dense CRF of tools/test.py --tta: arguments of dense_crf, or None. The
        # package pydensecrf2 makes it fast.
        tta_model=dict(
            _delete_=True,
            type='LogitTTAModel',
            crf=dict(iterations=1, gauss=(3, 3), bilateral=(32, 13, 10)),
        ),
    ),
)
