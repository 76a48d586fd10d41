_base_ = [
    '../_base_/models/avc_r38w16_toyvoc.py',
    '../_base_/datasets/avc_toyvoc.py',
    '../_base_/recipes/avc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
# lower than that of the other demos, with a shorter warm-up
optim_wrapper = dict(optimizer=dict(lr=0.001))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=30),
]
train_cfg = dict(max_iters=1600, val_interval=400)
# chosen on 100 training images: docs/results/toyvoc.md
crf = dict(iterations=10, gauss=(3, 3), bilateral=(20, 13, 10))
default_hooks = dict(
    checkpoint=dict(interval=200),
    cams=dict(
        tags=_base_.tag_file,
        classes='ToyVOCDataset',
        # about the size that the classifier was trained at
        scales=[0.5, 0.75],
        normalize='max',
    ),
    affinity_labels=dict(
        classes='ToyVOCDataset',
        foreground=dict(power=2),
        background=dict(power=16),
        crf=crf,
    ),
    pseudo_labels=dict(
        classes='ToyVOCDataset',
        background=dict(threshold=0.25),
        beta=8,
        log_t=3,
        crf=crf,
    ),
)
# there are no other weights to start from than the classifier's
stages = dict(
    classify=dict(
        model=dict(_delete_=True, **_base_.classifier),
        train_dataloader=dict(sampler=dict(num_per_source=dict(tagged=16))),
        val_dataloader=dict(dataset=dict(_delete_=True, **_base_.tagged_val)),
    ),
    affinity=dict(
        model=dict(_delete_=True, **_base_.affinity_net),
        load_from='{classify.last}',
        train_cfg=dict(max_iters=400),
    ),
    segment=dict(load_from='{classify.last}'),
)
