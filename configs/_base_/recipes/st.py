# ST: train on the labelled images, label the others, train anew on all of them.
supervised_iters = 1000
iters = 1000
# images of a batch, in the first stage and after it
supervised_batch_size = 8
batch_size = 8
# how many of each part; sums to the batch size
supervised_batch = dict(labeled=8)
batch = dict(labeled=4, pseudo=4)
# which networks of a method label, with which weights and pixel noise
networks = None
weights = None
noise = 0.0
# ST++'s test-time augmentation
scales = [0.5, 0.75, 1.0, 1.5, 2.0]
flip = True
# folder of masks of the unlabelled images, for a report of the labels' mIoU only, and
# the end of their names
truth = None
truth_suffix = '.png'
stages = [
    dict(
        name='supervised',
        cfg_options={
            'train_cfg.max_iters': '{supervised_iters}',
            'train_dataloader.batch_size': '{supervised_batch_size}',
            'train_dataloader.sampler.num_per_source': '{supervised_batch}',
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
                    networks='{networks}',
                    weights='{weights}',
                    noise='{noise}',
                    scales='{scales}',
                    flip='{flip}',
                    truth_dir='{truth}',
                ),
            ],
        },
    ),
    dict(
        name='retrain',
        cfg_options={
            'train_cfg.max_iters': '{iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{batch}',
            'train_dataloader.dataset.pseudo': '{pseudo}',
            'train_dataloader.dataset.pseudo.ann_file': '{split}/unlabeled.txt',
            'train_dataloader.dataset.pseudo.data_prefix.seg_map_path': (
                '{work_dir}/supervised/pseudo_labels'
            ),
        },
    ),
]
