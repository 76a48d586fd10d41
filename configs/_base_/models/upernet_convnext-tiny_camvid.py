# UPerNet, mmpretrain's ConvNeXt-tiny from scratch, 11 classes of CamVid. A head of 128
# channels instead of 512: many more steps in the same minutes on a CPU.
norm_cfg = dict(type='SyncBN', requires_grad=True)
class_weight = [0.5, 0.43, 2.1, 0.38, 0.95, 0.62, 3.1, 1.36, 0.83, 2.5, 2.7]
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
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.1,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=[96, 192, 384, 768],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=128,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=False,
        # as in deeplabv3plus_r18-d16_camvid.py
        loss_decode=dict(type='CrossEntropyLoss', class_weight=class_weight),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=384,
        in_index=2,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', class_weight=class_weight, loss_weight=0.4
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
