# Self-correcting networks without correction or with the linear one: the ancillary
# model (`model` with box attention in its head) learns from the images with masks and
# boxes, then the primary model, which is `model` and remains, from all images.
mode = 'linear'
alpha_start = 30.0
alpha_end = 0.5
ancillary_list = '{labeled_list}'
ancillary_iters = 1000
iters = 1000
# images of a batch: for the ancillary model, and of both kinds for the primary one
ancillary_batch_size = 8
batch_size = 16
ancillary_batch = dict(labeled=8)
batch = dict(labeled=8, weak=8)
stages = [
    dict(
        name='ancillary',
        cfg_options={
            'model.type': 'BoxConditionedSegmentor',
            'model.decode_head.type': 'BoxConditionedHead',
            'model.decode_head.num_box_classes': '{num_box_classes}',
            'train_cfg.max_iters': '{ancillary_iters}',
            'train_dataloader.batch_size': '{ancillary_batch_size}',
            'train_dataloader.sampler.num_per_source': '{ancillary_batch}',
            'train_dataloader.dataset.labeled.ann_file': '{ancillary_list}',
            'train_dataloader.dataset.labeled.pipeline': '{ancillary_pipeline}',
            'val_dataloader.dataset.pipeline': '{ancillary_test_pipeline}',
            'test_dataloader.dataset.pipeline': '{ancillary_test_pipeline}',
            'tta_pipeline': '{ancillary_tta_pipeline}',
        },
    ),
    dict(
        name='primary',
        cfg_options={
            'model': dict(
                _delete_=True,
                type='SelfCorrect',
                segmentor='{model}',
                ancillary='{model}',
                ancillary_checkpoint='{ancillary.last}',
                mode='{mode}',
                alpha_start='{alpha_start}',
                alpha_end='{alpha_end}',
            ),
            'model.ancillary.type': 'BoxConditionedSegmentor',
            'model.ancillary.decode_head.type': 'BoxConditionedHead',
            'model.ancillary.decode_head.num_box_classes': '{num_box_classes}',
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.collate_fn': dict(type='branch_collate'),
            'train_dataloader.dataset.labeled.pipeline': '{sup_pipeline}',
            'train_dataloader.dataset.weak': '{weak}',
            'custom_hooks': [dict(type='ExactResumeHook'), dict(type='SetIterHook')],
        },
    ),
]
