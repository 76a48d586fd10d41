_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r101-d16_cityscapes.py',
    '../_base_/datasets/semi_cityscapes_801.py',
    '../_base_/schedules/schedule_80k.py',
    '../_base_/default_runtime.py',
]
# every pixel is labelled, as released
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model, threshold=0.0)
# two strong views of the same crop
train_dataloader = dict(
    dataset=dict(
        unlabeled=dict(
            pipeline=[
                dict(type='LoadImageFromFile'),
                *_base_.geometry,
                dict(
                    type='MultiBranch',
                    unsup_teacher=[dict(type='PackSemiInputs')],
                    unsup_student=[
                        dict(type='StrongPhotometric'),
                        dict(type='PackSemiInputs'),
                    ],
                    unsup_student2=[
                        dict(type='StrongPhotometric'),
                        dict(type='PackSemiInputs'),
                    ],
                ),
            ]
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.005, weight_decay=0.0001))
# 240 epochs of 349 steps
train_cfg = dict(max_iters=83760)
