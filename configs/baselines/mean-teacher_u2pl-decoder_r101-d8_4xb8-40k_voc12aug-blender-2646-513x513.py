_base_ = './mean-teacher_u2pl-decoder_r101-d8_4xb8-52k_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/blender/2646'))
