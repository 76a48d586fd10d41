_base_ = './supervised_u2pl-decoder_r101-d8_2xb8-480_voc12aug-classic-92-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/classic/366'))
