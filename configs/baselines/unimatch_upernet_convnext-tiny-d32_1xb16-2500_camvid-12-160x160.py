_base_ = [
    '../_base_/models/upernet_convnext-tiny_camvid.py',
    '../_base_/datasets/semi_camvid.py',
    '../_base_/schedules/schedule_2500_adamw.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model)
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
