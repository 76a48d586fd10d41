# PSA: ResNet-38 in all three networks. The last one is trained as released with AVC.
_base_ = [
    '../_base_/models/avc_conformer-s_r38.py',
    '../_base_/datasets/avc_voc12aug.py',
    '../_base_/recipes/avc_r38.py',
    '../_base_/schedules/schedule_45k_largefov.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(
    cams=dict(
        tags=_base_.tag_file,
        classes='PascalVOCDataset',
        scales=[1.0, 0.5, 1.5, 2.0],
        normalize='max',
    ),
    affinity_labels=dict(
        classes='PascalVOCDataset',
        foreground=dict(power=4),
        background=dict(power=32),
        # from the scores of the image's classes
        crf=dict(iterations=10, gauss=(3, 3), bilateral=(80, 13, 10)),
    ),
    pseudo_labels=dict(
        classes='PascalVOCDataset', background=dict(power=16), beta=8, log_t=8, crf=None
    ),
)
pipeline = _base_.classify_pipeline
# the longer side becomes 256 to 512
pipeline[2].scale = (384, 384)
pipeline[2].ratio_range = (256 / 384, 512 / 384)
pipeline[5].crop_size = (448, 448)
stages = dict(
    classify=dict(
        model=dict(
            _delete_=True,
            type='AVC',
            data_preprocessor=_base_.preprocessor,
            backbone=_base_.affinity_net.backbone,
            head=dict(type='CamHead', in_channels=4096, num_classes=20),
            consistency_weight=0.0,
        ),
        # 15 epochs of 10582 images
        train_cfg=dict(max_iters=9921),
        optim_wrapper=dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.1, momentum=0.0, weight_decay=5e-4),
            paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),
        ),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=9922)
        ],
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(tagged=16)),
            dataset=dict(tagged=dict(pipeline=pipeline)),
        ),
        val_dataloader=dict(dataset=dict(_delete_=True, **_base_.tagged_val)),
    ),
    affinity=dict(model=dict(_delete_=True, **_base_.affinity_net)),
)
tta_model = dict(
    type='LogitTTAModel',
    crf=dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)),
)
