# ST: train on the labelled images, label the others, train anew on all of them. Where
# a main config gives max_epochs, the labelled images are repeated, list by list, until
# they are no fewer than the others.
stages = dict(
    supervised=dict(
        train_cfg=dict(epoch_of='labeled'),
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
        train_cfg=dict(epoch_of='pseudo', repeat='labeled'),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, pseudo=4)),
            dataset=dict(
                pseudo=dict(
                    data_prefix=dict(seg_map_path='{work_dir}/supervised/pseudo_labels')
                )
            ),
        ),
    ),
)
