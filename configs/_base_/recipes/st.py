# ST: train on the labelled images, label the others, train anew on all of them.
# A main config says how long each stage is and how many images of a part make a batch.
stages = dict(
    supervised=dict(
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=8))),
        default_hooks=dict(
            pseudo_labels=dict(
                type='PseudoLabelHook',
                part='pseudo',
                # ST++'s test-time augmentation
                scales=[0.5, 0.75, 1.0, 1.5, 2.0],
                flip=True,
            )
        ),
    ),
    retrain=dict(
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, pseudo=4)),
            dataset=dict(
                pseudo=dict(
                    data_prefix=dict(seg_map_path='{work_dir}/supervised/pseudo_labels')
                )
            ),
        )
    ),
)
