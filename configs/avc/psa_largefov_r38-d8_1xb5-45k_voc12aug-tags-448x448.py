# PSA: ResNet-38 in all three networks. The last one is trained as released with AVC.
_base_ = './avc_largefov_r38-d8_1xb5-45k_voc12aug-tags-448x448.py'
crop_size = (448, 448)
classifier = dict(
    _delete_=True,
    type='AVC',
    data_preprocessor='{preprocessor}',
    backbone=dict(
        type='ResNet38',
        norm_cfg=dict(type='BN', momentum=3e-4, requires_grad=False),
        norm_eval=True,
        frozen_stages=1,
        init_cfg=dict(type='Pretrained', checkpoint='{resnet38}'),
    ),
    head=dict(type='CamHead', in_channels=4096, num_classes='{num_objects}'),
    consistency_weight=0.0,
)
classify_pipeline = [
    dict(type='LoadImageFromFile'),
    '{load_tags}',
    # the longer side becomes 256 to 512
    dict(
        type='RandomResize',
        scale=(384, 384),
        ratio_range=(256 / 384, 512 / 384),
        keep_ratio=True,
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='StrongPhotometric',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
        jitter_prob=1.0,
        gray_prob=0.0,
        blur_prob=0.0,
    ),
    dict(type='RandomCrop', crop_size='{crop_size}'),
    dict(type='PackSemiInputs'),
]
# 15 epochs of 10582 images
classify_iters = 9921
classify_batch_size = 16
classify_optimizer = dict(
    _delete_=True, type='SGD', lr=0.1, momentum=0.0, weight_decay=5e-4
)
classify_paramwise = dict(custom_keys=dict(head=dict(lr_mult=10.0)))
classify_schedule = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=9922)
]
cam_squares = None
refine = False
normalize = 'max'
sure_foreground = dict(_delete_=True, power=4)
sure_background = dict(_delete_=True, power=32)
# from the scores of the image's classes
sure_crf = dict(_delete_=True, iterations=10, gauss=(3, 3), bilateral=(80, 13, 10))
walk_background = dict(_delete_=True, power=16)
beta = 8
log_t = 8
walk_crf = None
