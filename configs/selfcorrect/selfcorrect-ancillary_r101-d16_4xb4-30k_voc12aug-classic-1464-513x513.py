_base_ = './selfcorrect-ancillary_r101-d16_4xb4-30k_voc12aug-seed0-200-513x513.py'
train_dataloader = dict(dataset=dict(split='splits/classic/1464'))
