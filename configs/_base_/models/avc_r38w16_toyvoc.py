# AVC on ToyVOC: ResNet-38 at a quarter of its width in all three networks, from
# scratch. Its norm has the usual momentum: short trainings never warm up one of 3e-4.
norm_cfg = dict(type='BN', momentum=0.1)
preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(96, 96),
)
# nor does dropout help a network from scratch in a few hundred steps
backbone = dict(type='ResNet38', width=0.25, norm_cfg=norm_cfg, dropout=(0.0, 0.0))
classifier = dict(
    type='AVC',
    data_preprocessor=dict(preprocessor, size=(64, 64)),
    backbone=backbone,
    # cosine affinity in place of attention: an extension of our own
    head=dict(
        type='CamHead',
        in_channels=1024,
        num_classes=6,
        dropout_ratio=0.0,
        affinity_channels=64,
    ),
    consistency_weight=0.1,
)
affinity_net = dict(
    type='AffinityNet',
    data_preprocessor=preprocessor,
    backbone=backbone,
    head=dict(type='AffinityHead', in_channels=(128, 256, 1024), channels=(16, 32, 64)),
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=preprocessor,
    backbone=backbone,
    decode_head=dict(
        type='LargeFOVHead',
        in_channels=1024,
        in_index=2,
        channels=128,
        # the feature of a crop is 12 wide
        dilation=4,
        num_classes=7,
        norm_cfg=norm_cfg,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
