# EM-Fixed on the data of self-correcting networks: masks on F, boxes on W, no ancillary
# model. `model` is the network that remains.
bg_bias = 5.0
fg_bias = 6.0
iters = 1000
# images of a batch: with masks, and with boxes only
batch_size = 16
batch = dict(labeled=8, weak=8)
stages = [
    dict(
        name='primary',
        cfg_options={
            'model': dict(
                _delete_=True,
                type='SelfCorrect',
                segmentor='{model}',
                mode='em-fixed',
                num_box_classes='{num_box_classes}',
                bg_bias='{bg_bias}',
                fg_bias='{fg_bias}',
            ),
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.collate_fn': dict(type='branch_collate'),
            'train_dataloader.dataset.labeled.pipeline': '{sup_pipeline}',
            'train_dataloader.dataset.weak': '{weak}',
        },
    ),
]
