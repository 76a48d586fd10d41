_base_ = './selfcorrect-linear_r18-d16_1xb16-2500_camvid-12-160x160.py'
stages = dict(primary=dict(method=dict(mode='none')))
