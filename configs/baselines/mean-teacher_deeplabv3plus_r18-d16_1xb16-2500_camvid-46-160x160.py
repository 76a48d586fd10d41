_base_ = './mean-teacher_deeplabv3plus_r18-d16_1xb16-2500_camvid-12-160x160.py'
train_dataloader = dict(dataset=dict(split='splits/46'))
