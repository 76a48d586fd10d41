_base_ = './u2pl_deeplabv3plus_r18-d16_1xb16-2500_camvid-12-160x160.py'
train_dataloader = dict(
    dataset=dict(
        labeled=dict(ann_file='splits/46/labeled.txt'),
        unlabeled=dict(ann_file='splits/46/unlabeled.txt'),
    )
)
