# DeepLabV3+, ResNet-18 from scratch, output stride 16, 11 classes of CamVid.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(160, 160),
        test_cfg=dict(size_divisor=16),
    ),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
    ),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=512,
        in_index=3,
        channels=128,
        dilations=(1, 6, 12, 18),
        c1_in_channels=64,
        c1_channels=48,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss',
            # about the root of SegNet's median-frequency weights; with class
            # weights mmseg cannot leave void out of the mean (avg_non_ignore)
            class_weight=[0.5, 0.43, 2.1, 0.38, 0.95, 0.62, 3.1, 1.36, 0.83, 2.5, 2.7],
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
