# COCO 2014. No setting of AVC on COCO is published: the lengths are our choice.
_base_ = [
    '../_base_/models/avc_conformer-s_r38.py',
    '../_base_/datasets/avc_coco14.py',
    '../_base_/recipes/avc_r38.py',
    '../_base_/schedules/schedule_45k_largefov.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(num_classes=81))
poly = dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False)
param_scheduler = [dict(poly, end=100002)]
train_cfg = dict(max_iters=100000)
# TransCAM's seeds and labels; its CRF shares the rest of the confidence among 81 labels
crf = dict(
    confidence=0.7, num_labels=81, iterations=10, gauss=(3, 3), bilateral=(50, 5, 10)
)
default_hooks = dict(
    cams=dict(
        tags=_base_.tag_file,
        classes='COCOObjectDataset',
        squares=[256, 512, 768],
        refine=True,
        normalize='seam',
    ),
    affinity_labels=dict(
        classes='COCOObjectDataset',
        foreground=dict(threshold=0.6),
        background=dict(threshold=0.25),
        crf=crf,
    ),
    pseudo_labels=dict(
        classes='COCOObjectDataset',
        background=dict(threshold=0.42),
        beta=14,
        log_t=7,
        crf=crf,
    ),
)
classifier = _base_.classifier
classifier.head.num_classes = 80
stages = dict(
    classify=dict(
        model=dict(_delete_=True, **classifier),
        optim_wrapper=dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=5e-5, weight_decay=5e-4),
        ),
        param_scheduler=[],
        val_dataloader=dict(dataset=dict(_delete_=True, **_base_.tagged_val)),
    ),
    affinity=dict(
        model=dict(_delete_=True, **_base_.affinity_net),
        train_cfg=dict(max_iters=20000),
        param_scheduler=[dict(poly, end=20001)],
    ),
)
tta_model = dict(
    type='LogitTTAModel',
    crf=dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)),
)
