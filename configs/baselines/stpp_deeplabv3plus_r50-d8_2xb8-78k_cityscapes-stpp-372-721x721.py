_base_ = [
    '../_base_/models/stpp_deeplabv3plus_r50-d8.py',
    '../_base_/datasets/staged_cityscapes.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=(721, 721)), decode_head=dict(num_classes=19))
# for 16 images in total
optim_wrapper = dict(optimizer=dict(lr=0.004))
train_cfg = dict(max_epochs=240)
