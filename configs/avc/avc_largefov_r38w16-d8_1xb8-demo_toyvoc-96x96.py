_base_ = [
    '../_base_/models/avc_r38w16_toyvoc.py',
    '../_base_/datasets/avc_toyvoc.py',
    '../_base_/recipes/avc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# there are no other weights to start from
affinity_from = '{classify.last}'
segment_from = '{classify.last}'
classify_iters = 1600
classify_batch_size = 16
affinity_iters = 400
iters = 1600
# about the size that the classifier was trained at
cam_scales = [0.5, 0.75]
# chosen on 100 training images: docs/results/toyvoc.md
refine = False
normalize = 'max'
sure_foreground = dict(_delete_=True, power=2)
sure_background = dict(_delete_=True, power=16)
sure_crf = dict(_delete_=True, iterations=10, gauss=(3, 3), bilateral=(20, 13, 10))
walk_background = dict(threshold=0.25)
beta = 8
log_t = 3
walk_crf = dict(_delete_=True, iterations=10, gauss=(3, 3), bilateral=(20, 13, 10))
train_cfg = dict(val_interval=400)
default_hooks = dict(checkpoint=dict(interval=200))
# the rate rises over the first steps; those of the other demos are too high here
warmup = 30
classify_optimizer = dict(lr=0.001)
affinity_optimizer = dict(lr=0.001)
optimizer = dict(lr=0.001)
classify_schedule = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end='{warmup}'),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin='{warmup}'),
]
affinity_schedule = classify_schedule
schedule = classify_schedule
