# CPS's SGD on VOC, for 8 labelled images in total. Its losses are divided by the number
# of GPUs: a GPU's share of the rate, and as many times the decay, is the same.
_base_ = './sgd.py'
optim_wrapper = dict(
    optimizer=dict(lr=0.0025, weight_decay=0.0004),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
