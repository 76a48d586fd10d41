_base_ = './selfcorrect-linear_r18w32-d16_1xb16-demo_toyvoc-96x96.py'
stages = dict(primary=dict(method=dict(mode='none')))
