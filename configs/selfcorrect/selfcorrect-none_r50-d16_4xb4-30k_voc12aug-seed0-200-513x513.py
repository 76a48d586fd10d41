_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r50-d16.py',
    '../_base_/datasets/boxes_voc12aug.py',
    '../_base_/recipes/selfcorrect.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# for 16 images in total
optim_wrapper = dict(optimizer=dict(lr=0.007, weight_decay=0.0001))
mode = 'none'
ancillary_iters = 30000
iters = 30000
ancillary_batch_size = 4
batch_size = 4
ancillary_batch = dict(labeled=4)
batch = dict(labeled=2, weak=2)
