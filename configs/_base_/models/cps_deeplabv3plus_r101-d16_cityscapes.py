# CPS's DeepLabV3+ for Cityscapes: OHEM of 50000 pixels an image, a sliding test.
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
        size=(800, 800),
    ),
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        # absolute dilations of layer4, not factors
        multi_grid=(2, 4, 8),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c'),
    ),
    decode_head=dict(
        type='DeepLabV3PlusHead',
        in_channels=2048,
        in_index=3,
        c1_in_channels=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.0,
        aspp_dropout_ratio=0.0,
        num_classes=19,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='BatchOhemCrossEntropy', threshold=0.7, min_kept=100000),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(800, 800), stride=(534, 534)),
)
