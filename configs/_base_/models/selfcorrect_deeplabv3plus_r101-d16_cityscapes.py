_base_ = './selfcorrect_deeplabv3plus_r101-d16.py'
model = dict(data_preprocessor=dict(size=(769, 769)), decode_head=dict(num_classes=19))
