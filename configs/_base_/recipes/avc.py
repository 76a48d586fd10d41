# AVC: a classifier of image tags, whose activation maps are seeds; AffinityNet, which
# learns from the sure ones and spreads them; a segmentor, which learns from these
# labels. No stage opens a mask.
classify_iters = 600
affinity_iters = 300
iters = 600
# images of a batch
classify_batch_size = 8
affinity_batch_size = 8
batch_size = 8
# learning rates and their course
classify_optimizer = dict(type='AdamW', lr=0.001, weight_decay=0.01)
affinity_optimizer = classify_optimizer
optimizer = classify_optimizer
# rates of single layers, mmengine's paramwise_cfg
classify_paramwise = dict()
affinity_paramwise = dict()
paramwise = dict()
# weights that the later stages start from, e.g. '{classify.last}'
affinity_from = None
segment_from = None
classify_schedule = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False)]
affinity_schedule = classify_schedule
schedule = classify_schedule
# seeds: scales (of the image, or sides of squares) and flip, refined by the affinity,
# normalised as cam.normalize_cam
cam_scales = [1.0, 0.5, 1.5, 2.0]
cam_squares = None
cam_flip = True
refine = True
normalize = 'seam'
# sure foreground where a class is above the first background, sure background where
# none is above the second (TransCAM's); power=… instead of threshold=… is PSA's
sure_foreground = dict(threshold=0.6)
sure_background = dict(threshold=0.25)
sure_crf = dict(confidence=0.7, iterations=10, gauss=(3, 3), bilateral=(50, 5, 10))
# walk: background of the seeds (TransCAM's), exponent of the affinities, logarithm of
# the number of steps
walk_background = dict(threshold=0.42)
beta = 14
log_t = 7
walk_crf = sure_crf
# processes of the CRF
crf_workers = 2
# folder of masks of the training images, for reports of seeds and labels only
truth = None
truth_suffix = '.png'
load_tags = dict(
    type='LoadImageTags',
    format='{tags_format}',
    path='{tags}',
    img_folder='{data_root}/{images}',
    img_suffix='{img_suffix}',
    classes='{classes}',
)
load_val_tags = dict(
    type='LoadImageTags',
    format='{tags_format}',
    path='{val_tags}',
    img_folder='{data_root}/{val_images}',
    img_suffix='{img_suffix}',
    classes='{classes}',
)
every_image = dict(
    data_root='{data_root}',
    data_prefix=dict(img_path='{images}'),
    img_suffix='{img_suffix}',
    seg_map_suffix='{truth_suffix}',
    ann_file='{listed}',
)
stages = [
    dict(
        name='classify',
        cfg_options={
            'model': '{classifier}',
            'train_cfg.max_iters': '{classify_iters}',
            'optim_wrapper': dict(
                _delete_=True,
                type='OptimWrapper',
                optimizer='{classify_optimizer}',
                paramwise_cfg='{classify_paramwise}',
            ),
            'param_scheduler': '{classify_schedule}',
            'default_hooks.checkpoint.save_best': None,
            'train_dataloader.batch_size': '{classify_batch_size}',
            'train_dataloader.sampler.num_per_source': dict(
                tagged='{classify_batch_size}'
            ),
            'train_dataloader.dataset.tagged': dict(
                type='UnlabeledDataset',
                data_root='{data_root}',
                data_prefix=dict(img_path='{images}'),
                img_suffix='{img_suffix}',
                ann_file='{listed}',
                pipeline='{classify_pipeline}',
            ),
            'val_dataloader.dataset': dict(
                _delete_=True,
                type='UnlabeledDataset',
                data_root='{data_root}',
                data_prefix=dict(img_path='{val_images}'),
                img_suffix='{img_suffix}',
                ann_file='{val_listed}',
                pipeline='{classify_val_pipeline}',
            ),
            'val_evaluator': dict(_delete_=True, type='TagAveragePrecision'),
            'custom_hooks': [
                dict(type='ExactResumeHook'),
                dict(type='SetIterHook'),
                dict(
                    type='CamHook',
                    dataset='{every_image}',
                    tags='{tags}',
                    classes='{classes}',
                    scales='{cam_scales}',
                    squares='{cam_squares}',
                    flip='{cam_flip}',
                    refine='{refine}',
                    normalize='{normalize}',
                    truth_dir='{truth}',
                ),
                dict(
                    type='AffinityLabelHook',
                    dataset='{every_image}',
                    classes='{classes}',
                    foreground='{sure_foreground}',
                    background='{sure_background}',
                    crf='{sure_crf}',
                    num_workers='{crf_workers}',
                    truth_dir='{truth}',
                ),
            ],
        },
    ),
    dict(
        name='affinity',
        cfg_options={
            'model': '{affinity_net}',
            'load_from': '{affinity_from}',
            'train_cfg.max_iters': '{affinity_iters}',
            'optim_wrapper': dict(
                _delete_=True,
                type='OptimWrapper',
                optimizer='{affinity_optimizer}',
                paramwise_cfg='{affinity_paramwise}',
            ),
            'param_scheduler': '{affinity_schedule}',
            'default_hooks.checkpoint.save_best': None,
            'train_dataloader.batch_size': '{affinity_batch_size}',
            'train_dataloader.sampler.num_per_source': dict(
                sure='{affinity_batch_size}'
            ),
            'train_dataloader.dataset.sure': dict(
                type='{dataset_type}',
                data_root='{data_root}',
                data_prefix=dict(
                    img_path='{images}',
                    seg_map_path='{work_dir}/classify/affinity_labels',
                ),
                ann_file='{listed}',
                pipeline='{affinity_pipeline}',
            ),
            'val_dataloader': None,
            'val_evaluator': None,
            'val_cfg': None,
            'custom_hooks': [
                dict(type='ExactResumeHook'),
                dict(
                    type='RandomWalkHook',
                    dataset='{every_image}',
                    cams='{work_dir}/classify/cams',
                    classes='{classes}',
                    background='{walk_background}',
                    beta='{beta}',
                    log_t='{log_t}',
                    crf='{walk_crf}',
                    num_workers='{crf_workers}',
                    truth_dir='{truth}',
                ),
            ],
        },
    ),
    dict(
        name='segment',
        cfg_options={
            'model': '{segmentor}',
            'load_from': '{segment_from}',
            'train_cfg.max_iters': '{iters}',
            'optim_wrapper': dict(
                _delete_=True,
                type='OptimWrapper',
                optimizer='{optimizer}',
                paramwise_cfg='{paramwise}',
            ),
            'param_scheduler': '{schedule}',
            'train_dataloader.batch_size': '{batch_size}',
            'train_dataloader.sampler.num_per_source': dict(pseudo='{batch_size}'),
            'train_dataloader.dataset.pseudo': dict(
                type='{dataset_type}',
                data_root='{data_root}',
                data_prefix=dict(
                    img_path='{images}',
                    seg_map_path='{work_dir}/affinity/pseudo_labels',
                ),
                ann_file='{listed}',
                pipeline='{segment_pipeline}',
            ),
        },
    ),
]
