_base_ = './unimatch_deeplabv3plus_r101-d16_4xb4-84k_cityscapes-186-801x801.py'
train_dataloader = dict(
    dataset=dict(
        labeled=dict(ann_file='splits/744/labeled.txt'),
        unlabeled=dict(ann_file='splits/744/unlabeled.txt'),
    )
)
train_cfg = dict(max_iters=66960)
