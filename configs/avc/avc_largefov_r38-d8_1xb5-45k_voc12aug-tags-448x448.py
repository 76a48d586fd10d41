_base_ = [
    '../_base_/models/avc_conformer-s_r38.py',
    '../_base_/datasets/avc_voc12aug.py',
    '../_base_/recipes/avc_r38.py',
    '../_base_/schedules/schedule_45k_largefov.py',
    '../_base_/default_runtime.py',
]
# TransCAM's seeds and labels; its CRF shares the rest of the confidence among 21 labels
crf = dict(
    confidence=0.7, num_labels=21, iterations=10, gauss=(3, 3), bilateral=(50, 5, 10)
)
default_hooks = dict(
    cams=dict(
        tags=_base_.tag_file,
        classes='PascalVOCDataset',
        squares=[256, 512, 768],
        refine=True,
        normalize='seam',
    ),
    affinity_labels=dict(
        classes='PascalVOCDataset',
        foreground=dict(threshold=0.6),
        background=dict(threshold=0.25),
        crf=crf,
    ),
    pseudo_labels=dict(
        classes='PascalVOCDataset',
        background=dict(threshold=0.42),
        beta=14,
        log_t=7,
        crf=crf,
    ),
)
stages = dict(
    classify=dict(
        model=dict(_delete_=True, **_base_.classifier),
        # TransCAM: 20 epochs of 10582 images, AdamW at a constant rate
        train_cfg=dict(max_iters=26455),
        optim_wrapper=dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=5e-5, weight_decay=5e-4),
        ),
        param_scheduler=[],
        val_dataloader=dict(dataset=dict(_delete_=True, **_base_.tagged_val)),
    ),
    affinity=dict(model=dict(_delete_=True, **_base_.affinity_net)),
)
tta_model = dict(
    type='LogitTTAModel',
    crf=dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)),
)
