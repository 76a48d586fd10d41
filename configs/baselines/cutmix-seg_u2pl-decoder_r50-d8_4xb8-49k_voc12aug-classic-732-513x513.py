_base_ = './mean-teacher_u2pl-decoder_r101-d8_4xb8-52k_voc12aug-classic-92-513x513.py'
train_dataloader = dict(
    dataset=dict(
        labeled=dict(ann_file='splits/classic/732/labeled.txt'),
        unlabeled=dict(ann_file='splits/classic/732/unlabeled.txt'),
    )
)
model = dict(
    cutmix=True,
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=49200)
