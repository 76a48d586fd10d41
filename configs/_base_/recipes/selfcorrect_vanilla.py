# The baseline of self-correcting networks: the primary model on the images with masks.
iters = 1000
batch_size = 8
batch = dict(labeled=8)
stages = [
    dict(
        name='primary',
        cfg_options={
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
        },
    ),
]
