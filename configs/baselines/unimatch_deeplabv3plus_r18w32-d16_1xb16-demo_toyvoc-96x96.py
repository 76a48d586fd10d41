_base_ = [
    '../_base_/models/deeplabv3plus_r18w32-d16_toyvoc.py',
    '../_base_/datasets/semi_toyvoc.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
model = dict(_delete_=True, type='UniMatch', segmentor=_base_.model)
# two strong views of the same crop, without blur: the texture is half of a class
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
                        dict(type='StrongPhotometric', blur_prob=0.0),
                        dict(type='PackSemiInputs'),
                    ],
                    unsup_student2=[
                        dict(type='StrongPhotometric', blur_prob=0.0),
                        dict(type='PackSemiInputs'),
                    ],
                ),
            ]
        )
    )
)
