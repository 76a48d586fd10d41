_base_ = [
    '../_base_/models/u2pl_r101-d8_cityscapes.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/sgd.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=200, epoch_of='labeled', drop_last=False)
# the decoder's representation has no gradient here
find_unused_parameters = True
