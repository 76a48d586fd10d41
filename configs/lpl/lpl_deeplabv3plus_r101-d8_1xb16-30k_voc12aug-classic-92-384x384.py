_base_ = [
    '../_base_/models/lpl_deeplabv3plus_r101-d8.py',
    '../_base_/datasets/tags_voc12aug.py',
    '../_base_/recipes/lpl.py',
    '../_base_/schedules/schedule_30k_classifier10x.py',
    '../_base_/default_runtime.py',
]
split = 'splits/classic/92'
lpl_iters = 20000
iters = 30000
lpl_lr = 0.001
lr = 0.007
lpl_batch_size = 10
lpl_batch = dict(labeled=5, weak=5)
batch_size = 16
# all images alike, whether they have a mask or a label
batch = dict(_delete_=True, every=16)
data = dict(
    _delete_=True,
    type='MultiSourceDataset',
    every=dict(
        type='ConcatDataset',
        datasets=['{labeled}', '{pseudo}'],
    ),
)
