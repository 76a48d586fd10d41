# Self-correcting networks with the convolutional correction, in three stages: the
# ancillary model on half of the images with masks, so that the correction sees what it
# does on images that it has not learned; the primary model and the correction on all of
# them; both on all images, from the weights of the second stage.
hidden = 128
final_relu = False
# tools/make_splits.py generate --ids SPLIT/labeled.txt --fraction 1/2 --out SPLIT/half
ancillary_list = '{split}/half/labeled.txt'
ancillary_iters = 1000
correction_iters = 1000
iters = 1000
# images of a batch: in the first two stages, and of both kinds in the last one
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
        name='correction',
        cfg_options={
            'model': dict(
                _delete_=True,
                type='SelfCorrect',
                segmentor='{model}',
                ancillary='{model}',
                ancillary_checkpoint='{ancillary.last}',
                mode='conv',
                hidden='{hidden}',
                final_relu='{final_relu}',
                weak_weight=0.0,
            ),
            'model.ancillary.type': 'BoxConditionedSegmentor',
            'model.ancillary.decode_head.type': 'BoxConditionedHead',
            'model.ancillary.decode_head.num_box_classes': '{num_box_classes}',
            'train_cfg.max_iters': '{correction_iters}',
            'train_dataloader.batch_size': '{ancillary_batch_size}',
            'train_dataloader.sampler.num_per_source': '{ancillary_batch}',
            'train_dataloader.collate_fn': dict(type='branch_collate'),
            'train_dataloader.dataset.labeled.pipeline': '{sup_pipeline}',
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
                mode='conv',
                hidden='{hidden}',
                final_relu='{final_relu}',
            ),
            'model.ancillary.type': 'BoxConditionedSegmentor',
            'model.ancillary.decode_head.type': 'BoxConditionedHead',
            'model.ancillary.decode_head.num_box_classes': '{num_box_classes}',
            # with the ancillary model in it
            'load_from': '{correction.last}',
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.collate_fn': dict(type='branch_collate'),
            'train_dataloader.dataset.labeled.pipeline': '{sup_pipeline}',
            'train_dataloader.dataset.weak': '{weak}',
            # a key of the recipe, so that q_conv can be tested with boxes
            'test_dataloader.dataset.pipeline': '{test_pipeline}',
        },
    ),
]
