# ST++: as ST, but the images whose prediction was stable in the first training come
# first; the network that has learned from them labels the others.
stages = dict(
    supervised=dict(
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=8))),
        default_hooks=dict(
            # the network at 1/3, 2/3 and the end of the training
            reliability=dict(type='ReliabilityHook', part='pseudo', num_checkpoints=3),
            pseudo_labels=dict(
                type='PseudoLabelHook',
                part='pseudo',
                dataset=dict(ann_file='{work_dir}/supervised/reliable.txt'),
                # ST++'s test-time augmentation
                scales=[0.5, 0.75, 1.0, 1.5, 2.0],
                flip=True,
            ),
        ),
    ),
    retrain_reliable=dict(
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, reliable=4)),
            dataset=dict(
                reliable=dict(
                    ann_file='{work_dir}/supervised/reliable.txt',
                    data_prefix=dict(
                        seg_map_path='{work_dir}/supervised/pseudo_labels'
                    ),
                )
            ),
        ),
        default_hooks=dict(
            pseudo_labels=dict(
                type='PseudoLabelHook',
                part='pseudo',
                dataset=dict(ann_file='{work_dir}/supervised/unreliable.txt'),
                scales=[0.5, 0.75, 1.0, 1.5, 2.0],
                flip=True,
            )
        ),
    ),
    retrain=dict(
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, reliable=2, unreliable=2)),
            dataset=dict(
                reliable=dict(
                    ann_file='{work_dir}/supervised/reliable.txt',
                    data_prefix=dict(
                        seg_map_path='{work_dir}/supervised/pseudo_labels'
                    ),
                ),
                unreliable=dict(
                    ann_file='{work_dir}/supervised/unreliable.txt',
                    data_prefix=dict(
                        seg_map_path='{work_dir}/retrain_reliable/pseudo_labels'
                    ),
                ),
            ),
        )
    ),
)
