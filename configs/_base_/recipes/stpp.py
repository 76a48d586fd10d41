# ST++: as ST, but the images whose prediction was stable in the first training come
# first; the network that has learned from them labels the others.
unlabeled = dict(
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    img_suffix='{img_suffix}',
    seg_map_suffix='{truth_suffix}',
)
supervised_iters = 1000
reliable_iters = 1000
iters = 1000
# images of a batch, in the first stage and after it
supervised_batch_size = 8
batch_size = 8
# how many of each part; sums to the batch size
supervised_batch = dict(labeled=8)
reliable_batch = dict(labeled=4, reliable=4)
batch = dict(labeled=4, reliable=2, unreliable=2)
# for the reliability: the network at 1/3, 2/3 and the end of the training
num_checkpoints = 3
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
                    type='ReliabilityHook',
                    dataset=dict(unlabeled, ann_file='{split}/unlabeled.txt'),
                    num_checkpoints='{num_checkpoints}',
                    networks='{networks}',
                ),
                dict(
                    type='PseudoLabelHook',
                    dataset=dict(
                        unlabeled, ann_file='{work_dir}/supervised/reliable.txt'
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
        name='retrain_reliable',
        cfg_options={
            'train_cfg.max_iters': '{reliable_iters}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': '{reliable_batch}',
            'train_dataloader.dataset.reliable': '{pseudo}',
            'train_dataloader.dataset.reliable.ann_file': (
                '{work_dir}/supervised/reliable.txt'
            ),
            'train_dataloader.dataset.reliable.data_prefix.seg_map_path': (
                '{work_dir}/supervised/pseudo_labels'
            ),
            'custom_hooks': [
                dict(type='ExactResumeHook'),
                dict(
                    type='PseudoLabelHook',
                    dataset=dict(
                        unlabeled, ann_file='{work_dir}/supervised/unreliable.txt'
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
            'train_dataloader.dataset.reliable': '{pseudo}',
            'train_dataloader.dataset.reliable.ann_file': (
                '{work_dir}/supervised/reliable.txt'
            ),
            'train_dataloader.dataset.reliable.data_prefix.seg_map_path': (
                '{work_dir}/supervised/pseudo_labels'
            ),
            'train_dataloader.dataset.unreliable': '{pseudo}',
            'train_dataloader.dataset.unreliable.ann_file': (
                '{work_dir}/supervised/unreliable.txt'
            ),
            'train_dataloader.dataset.unreliable.data_prefix.seg_map_path': (
                '{work_dir}/retrain_reliable/pseudo_labels'
            ),
        },
    ),
]
