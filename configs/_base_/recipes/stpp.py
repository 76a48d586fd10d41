# ST++: as ST, but the images whose prediction was stable in the first training come
# first; the network that has learned from them labels the others.
label = dict(
    type='PseudoLabelHook',
    part='pseudo',
    # test-time augmentation
    scales=[0.5, 0.75, 1.0, 1.5, 2.0],
    flip=True,
)
reliable = dict(
    ann_file='{work_dir}/supervised/reliable.txt',
    data_prefix=dict(seg_map_path='{work_dir}/supervised/pseudo_labels'),
)
unreliable = dict(
    ann_file='{work_dir}/supervised/unreliable.txt',
    data_prefix=dict(seg_map_path='{work_dir}/retrain_reliable/pseudo_labels'),
)
stages = dict(
    supervised=dict(
        train_cfg=dict(epoch_of='labeled'),
        train_dataloader=dict(sampler=dict(num_per_source=dict(labeled=8))),
        default_hooks=dict(
            # the network at 1/3, 2/3 and the end of the training
            reliability=dict(type='ReliabilityHook', part='pseudo', num_checkpoints=3),
            pseudo_labels=dict(label, dataset=dict(ann_file=reliable['ann_file'])),
        ),
    ),
    retrain_reliable=dict(
        train_cfg=dict(epoch_of='reliable', repeat='labeled'),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, reliable=4)),
            dataset=dict(reliable=reliable),
        ),
        default_hooks=dict(
            pseudo_labels=dict(label, dataset=dict(ann_file=unreliable['ann_file']))
        ),
    ),
    retrain=dict(
        train_cfg=dict(epoch_of=['reliable', 'unreliable'], repeat='labeled'),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(labeled=4, reliable=2, unreliable=2)),
            dataset=dict(reliable=reliable, unreliable=unreliable),
        ),
    ),
)
