_base_ = [
    '../_base_/models/avc_r38w16_toyvoc.py',
    '../_base_/datasets/avc_toyvoc.py',
    '../_base_/recipes/avc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
classify_iters = 2000
affinity_iters = 500
iters = 1500
cam_scales = [1.0, 1.5]
# PSA's numbers, as its network. Maps refined by feature cosines were worse (README)
refine = False
normalize = 'max'
sure_foreground = dict(_delete_=True, power=4)
sure_background = dict(_delete_=True, power=32)
sure_crf = dict(_delete_=True, iterations=10, gauss=(3, 3), bilateral=(80, 13, 10))
walk_background = dict(_delete_=True, power=16)
beta = 8
log_t = 8
walk_crf = dict(_delete_=True, iterations=10, gauss=(3, 3), bilateral=(80, 13, 10))
# as the other demos; the rate rises over the first steps
warmup = 30
classify_optimizer = dict(lr=0.005)
affinity_optimizer = dict(lr=0.005)
optimizer = dict(lr=0.005)
classify_schedule = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end='{warmup}'),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin='{warmup}'),
]
affinity_schedule = classify_schedule
schedule = classify_schedule
