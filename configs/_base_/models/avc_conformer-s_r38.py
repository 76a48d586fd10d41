# AVC: TransCAM's Conformer-S, AffinityNet and DeepLabV1-LargeFOV on ResNet-38.
preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(448, 448),
)
# its affine weights are trained in no stage
norm_cfg = dict(type='BN', momentum=3e-4, requires_grad=False)
resnet38 = dict(
    type='ResNet38',
    norm_cfg=norm_cfg,
    # tools/model_converters/resnet38_params.py writes it
    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/resnet38_imagenet.pth'),
)
classifier = dict(
    type='AVC',
    data_preprocessor=dict(
        preprocessor, size=(512, 512), test_cfg=dict(size_divisor=16)
    ),
    backbone=dict(
        type='ConformerCam',
        arch='small',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/conformer/'
            'conformer-small-p16_3rdparty_8xb128_in1k_20211206-3065dcf5.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='ConformerCamHead', num_classes=20),
    # reconstruction; 0 is TransCAM
    consistency_weight=0.1,
    warmup=0.25,
)
# PSA: norm in eval mode, and the first stage frozen
affinity_net = dict(
    type='AffinityNet',
    data_preprocessor=preprocessor,
    backbone=dict(resnet38, norm_eval=True, frozen_stages=1),
    head=dict(type='AffinityHead'),
    radius=5,
)
# as released: the norm layers in training mode
model = dict(
    type='EncoderDecoder',
    data_preprocessor=preprocessor,
    backbone=dict(resnet38, norm_eval=False),
    decode_head=dict(
        type='LargeFOVHead',
        in_channels=4096,
        in_index=2,
        channels=512,
        num_classes=21,
        norm_cfg=norm_cfg,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True
        ),
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_out'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
