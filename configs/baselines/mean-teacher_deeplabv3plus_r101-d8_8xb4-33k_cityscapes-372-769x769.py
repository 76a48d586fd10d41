_base_ = [
    '../_base_/models/deeplabv3plus_r101-d8_cityscapes.py',
    '../_base_/datasets/semi_cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True, type='MeanTeacher', segmentor=_base_.model, rampup_iters=4000
)
# the student's view is photometrically strong, the teacher's is not
train_dataloader = dict(
    dataset=dict(
        labeled=dict(ann_file='splits/372/labeled.txt'),
        unlabeled=dict(
            ann_file='splits/372/unlabeled.txt',
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
                ),
            ],
        ),
    )
)
# 200 epochs of 163 steps
train_cfg = dict(max_iters=32600)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
