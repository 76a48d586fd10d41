_base_ = './lpl_deeplabv3plus_r101-d8_1xb16-30k_voc12aug-classic-92-384x384.py'
train_dataloader = dict(dataset=dict(split='splits/classic/183'))
