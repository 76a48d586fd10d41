_base_ = [
    '../_base_/models/u2pl_r101-d8.py',
    '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=80, epoch_of='labeled', drop_last=False)
# the decoder's representation has no gradient here
find_unused_parameters = True
