_base_ = [
    '../_base_/models/selfcorrect_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/schedule_30k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(
    batch_size=None,
    sampler=dict(num_per_source=dict(labeled=4)),
    dataset=dict(split='splits/classic/1464'),
)
