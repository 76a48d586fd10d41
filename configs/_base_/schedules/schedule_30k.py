# SGD and poly decay to 0 of DeepLabV3+, for 16 images in total.
_base_ = './sgd.py'
optim_wrapper = dict(optimizer=dict(lr=0.007, weight_decay=0.0001))
train_cfg = dict(max_iters=30000)
