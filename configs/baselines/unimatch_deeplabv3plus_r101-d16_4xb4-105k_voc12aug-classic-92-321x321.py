_base_ = [
    '../_base_/models/unimatch_deeplabv3plus_r101-d16.py',
    '../_base_/datasets/semi_voc12aug_321.py',
    '../_base_/schedules/schedule_40k_head10x.py',
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
# 80 epochs of 1311 steps
train_cfg = dict(max_iters=104880)
