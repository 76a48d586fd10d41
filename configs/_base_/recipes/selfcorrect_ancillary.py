# The ancillary model of self-correcting networks alone: `model` with box attention in
# its head, on images with masks and boxes. It needs boxes in validation and test too.
ancillary_list = '{labeled_list}'
iters = 1000
batch_size = 8
batch = dict(labeled=8)
stages = [
    dict(
        name='ancillary',
        cfg_options={
            'model.type': 'BoxConditionedSegmentor',
            'model.decode_head.type': 'BoxConditionedHead',
            'model.decode_head.num_box_classes': '{num_box_classes}',
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.dataset.labeled.ann_file': '{ancillary_list}',
            'train_dataloader.dataset.labeled.pipeline': '{ancillary_pipeline}',
            'val_dataloader.dataset.pipeline': '{ancillary_test_pipeline}',
            'test_dataloader.dataset.pipeline': '{ancillary_test_pipeline}',
            'tta_pipeline': '{ancillary_tta_pipeline}',
        },
    ),
]
