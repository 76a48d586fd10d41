_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16_camvid.py',
    '../_base_/datasets/tags_camvid.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
background = False
# those of the second stage, and of the other methods' losses on masks
class_weight = _base_.model.decode_head.loss_decode.class_weight
lpl_iters = 2500
iters = 2500
# as many labelled images a step as without the others
batch_size = 16
batch = dict(labeled=8, pseudo=8)
scales = [0.75, 1.0, 1.25]
crf = None
