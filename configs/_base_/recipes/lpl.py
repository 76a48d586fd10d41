# LPL: HybridNet and PseudoNet learn from few masks and many tags; HybridNet labels,
# within the tags; a network by itself learns from masks and labels.
lpl_iters = 1000
iters = 1000
# images of a batch, in the first stage and after it
lpl_batch_size = 16
batch_size = 8
# how many of each part; sums to the batch size
lpl_batch = dict(labeled=8, weak=8)
batch = dict(labeled=4, pseudo=4)
# learning rates of the stages
lpl_lr = 0.001
lr = 0.001
# whether class 0 is the background
background = True
# of the first stage, one for each class; None: all alike, as released
class_weight = None
# of both networks in the first stage: images of validation and test with their tags
predict_with_tags = True
# whether an image may be tagged with nothing but background
allow_empty = False
# test-time augmentation of the labels, whose scores are averaged
scales = [0.5, 0.75, 1.0, 1.25, 1.5]
flip = True
# dense CRF of tools/test.py --tta in the last stage: arguments of dense_crf, or None.
# The package pydensecrf2 makes it fast.
crf = dict(iterations=1, gauss=(3, 3), bilateral=(32, 13, 10))
# folder of masks of the unlabelled images, for a report of the labels' mIoU only, and
# the end of their names
truth = None
truth_suffix = '.png'
load_tags = dict(
    type='LoadImageTags',
    format='file',
    path='{tags}',
    img_folder='{data_root}/{images}',
    img_suffix='{img_suffix}',
    classes='{dataset_type}',
    allow_empty='{allow_empty}',
)
load_val_tags = dict(
    type='LoadImageTags',
    format='file',
    path='{val_tags}',
    img_folder='{data_root}/{val_images}',
    img_suffix='{img_suffix}',
    classes='{dataset_type}',
    allow_empty='{allow_empty}',
)
# masks and tags, strongly augmented
strong = dict(
    type='{dataset_type}',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}', seg_map_path='{masks}'),
    ann_file='{split}/labeled.txt',
    pipeline='{strong_pipeline}',
)
# tags, cropped only; the images with masks are among them, and bring these
weak = dict(
    type='ConcatDataset',
    datasets=[
        dict(
            type='{dataset_type}',
            data_root='{data_root}',
            data_prefix=dict(img_path='{images}', seg_map_path='{masks}'),
            ann_file='{split}/labeled.txt',
            pipeline='{weak_masked_pipeline}',
        ),
        dict(
            type='UnlabeledDataset',
            data_root='{data_root}',
            data_prefix=dict(img_path='{images}'),
            img_suffix='{img_suffix}',
            ann_file='{split}/unlabeled.txt',
            pipeline='{weak_pipeline}',
        ),
    ],
    # classes and the like are those of the first
    ignore_keys=['classes', 'palette', 'label_map', 'reduce_zero_label'],
)
# masks without tags, and labels of the first stage
labeled = dict(
    type='{dataset_type}',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}', seg_map_path='{masks}'),
    ann_file='{split}/labeled.txt',
    pipeline='{learn_pipeline}',
)
pseudo = dict(
    type='{dataset_type}',
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}', seg_map_path='{work_dir}/lpl/pseudo_labels'),
    ann_file='{split}/unlabeled.txt',
    pipeline='{learn_pipeline}',
)
data = dict(type='MultiSourceDataset', labeled='{labeled}', pseudo='{pseudo}')
stages = [
    dict(
        name='lpl',
        cfg_options={
            'model': dict(
                _delete_=True,
                type='LPL',
                segmentor='{model}',
                background='{background}',
                class_weight='{class_weight}',
                predict_with_tags='{predict_with_tags}',
            ),
            'train_cfg.max_iters': '{lpl_iters}',
            'optim_wrapper.optimizer.lr': '{lpl_lr}',
            'train_dataloader.batch_size': '{lpl_batch_size}',
            'train_dataloader.sampler.num_per_source': '{lpl_batch}',
            'train_dataloader.collate_fn': dict(type='branch_collate'),
            'train_dataloader.dataset': dict(
                type='MultiSourceDataset',
                allow_overlap=True,
                labeled='{strong}',
                weak='{weak}',
            ),
            'val_dataloader.dataset.pipeline': '{tagged_test_pipeline}',
            'test_dataloader.dataset.pipeline': '{tagged_test_pipeline}',
            'tta_pipeline': '{tagged_tta_pipeline}',
            'tta_model': dict(_delete_=True, type='LogitTTAModel'),
            'custom_hooks': [
                dict(type='ExactResumeHook'),
                dict(
                    type='PseudoLabelHook',
                    dataset=dict(
                        data_root='{data_root}',
                        data_prefix=dict(img_path='{images}'),
                        img_suffix='{img_suffix}',
                        seg_map_suffix='{truth_suffix}',
                        ann_file='{split}/unlabeled.txt',
                    ),
                    networks=['hybrid'],
                    scales='{scales}',
                    flip='{flip}',
                    fuse='logits',
                    tags='{tags}',
                    allow_empty='{allow_empty}',
                    truth_dir='{truth}',
                ),
            ],
        },
    ),
    dict(
        name='retrain',
        cfg_options={
            'train_cfg.max_iters': '{iters}',
            'optim_wrapper.optimizer.lr': '{lr}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.dataset': '{data}',
            'tta_model': dict(_delete_=True, type='LogitTTAModel', crf='{crf}'),
        },
    ),
]
