# SGD with ten times the rate in the decode head, for 16 labelled images in total.
_base_ = './sgd.py'
optim_wrapper = dict(
    optimizer=dict(lr=0.001, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}),
)
