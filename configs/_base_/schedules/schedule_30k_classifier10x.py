# SGD with ten times the rate in the classifier, for 16 images in total.
_base_ = './sgd.py'
optim_wrapper = dict(
    optimizer=dict(lr=0.007, weight_decay=0.00004),
    paramwise_cfg=dict(custom_keys={'conv_seg': dict(lr_mult=10.0)}),
)
train_cfg = dict(max_iters=30000)
default_hooks = dict(checkpoint=dict(save_best=None))
