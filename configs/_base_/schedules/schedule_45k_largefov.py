# LargeFOV as released with AVC, for 5 images in total.
_base_ = './sgd_head10x.py'
optim_wrapper = dict(
    optimizer=dict(weight_decay=0.0005),
    paramwise_cfg=dict(
        custom_keys={'decode_head.conv_seg.bias': dict(lr_mult=20.0, decay_mult=0.0)}
    ),
)
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=45002)
]
train_cfg = dict(max_iters=45000)
