_base_ = './mean-teacher_u2pl-decoder_r101-d8_4xb8-52k_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/blender/5291'))
model = dict(
    segmentor=dict(
        backbone=dict(depth=50, init_cfg=dict(checkpoint='open-mmlab://resnet50_v1c'))
    ),
)
train_cfg = dict(max_iters=26400)
