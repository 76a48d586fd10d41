_base_ = [
    '../_base_/models/stpp_deeplabv3plus_r50-d8.py',
    '../_base_/datasets/staged_cityscapes.py',
    '../_base_/recipes/stpp.py',
    '../_base_/schedules/schedule_40k_head10x.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.model
segmentor.data_preprocessor.size = (721, 721)
segmentor.decode_head.num_classes = 19
# branch2: the same with branch attention
model = dict(
    _delete_=True,
    type='BST',
    segmentor=segmentor,
    branch2=dict(decode_head=dict(attention=dict(groups=32))),
)
networks = ['branch1', 'branch2']
# our choice, as the released code has no noise
noise = 0.1
# for 16 images in total
optim_wrapper = dict(optimizer=dict(lr=0.004))
split = 'splits/stpp/372'
supervised_iters = 5520
reliable_iters = 41760
iters = 78000
