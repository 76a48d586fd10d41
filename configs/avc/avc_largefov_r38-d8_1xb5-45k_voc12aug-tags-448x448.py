_base_ = [
    '../_base_/models/avc_conformer-s_r38.py',
    '../_base_/datasets/avc_voc12aug.py',
    '../_base_/recipes/avc.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# TransCAM: 20 epochs of 10582 images, AdamW at a constant rate
classify_iters = 26455
classify_batch_size = 8
classify_optimizer = dict(_delete_=True, type='AdamW', lr=5e-5, weight_decay=5e-4)
classify_schedule = []
cam_squares = [256, 512, 768]
# as TransCAM, which shares the rest of the confidence among 21 labels
sure_crf = dict(num_labels=21)
walk_crf = dict(num_labels=21)
# PSA's released optimiser has no momentum: what is given as such is poly's power
affinity_iters = 10582
affinity_batch_size = 8
affinity_optimizer = dict(
    _delete_=True, type='SGD', lr=0.01, momentum=0.0, weight_decay=5e-4
)
affinity_paramwise = dict(custom_keys=dict(head=dict(lr_mult=10.0)))
affinity_schedule = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=10583)
]
# released with AVC
iters = 45000
batch_size = 5
optimizer = dict(_delete_=True, type='SGD', lr=0.001, momentum=0.9, weight_decay=5e-4)
paramwise = dict(
    custom_keys={
        'decode_head': dict(lr_mult=10.0),
        'decode_head.conv_seg.bias': dict(lr_mult=20.0, decay_mult=0.0),
    }
)
schedule = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, end=45002)]
tta_model = dict(
    type='LogitTTAModel',
    crf=dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)),
)
