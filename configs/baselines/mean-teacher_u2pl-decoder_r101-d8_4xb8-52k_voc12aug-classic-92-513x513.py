_base_ = [
    '../_base_/models/u2pl_r101-d8.py',
    '../_base_/datasets/semi_voc12aug.py',
    '../_base_/schedules/sgd_head10x.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _delete_=True, type='MeanTeacher', segmentor=_base_.model, rampup_iters=4000
)
# the student's view is photometrically strong, the teacher's is not
train_dataloader = dict(dataset=dict(unlabeled=dict(pipeline=_base_.strong_pipeline)))
train_cfg = dict(max_epochs=80)
custom_hooks = [
    dict(type='ExactResumeHook'),
    dict(type='SetIterHook'),
    dict(type='MeanTeacherHook'),
]
# the decoder's representation has no gradient here
find_unused_parameters = True
