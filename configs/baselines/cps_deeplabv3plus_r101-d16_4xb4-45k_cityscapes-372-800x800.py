_base_ = './cps_deeplabv3plus_r101-d16_4xb4-45k_cityscapes-186-800x800.py'
train_dataloader = dict(
    dataset=dict(
        labeled=dict(ann_file='splits/372/labeled.txt'),
        unlabeled=dict(ann_file='splits/372/unlabeled.txt'),
    )
)
train_cfg = dict(max_iters=44525)
