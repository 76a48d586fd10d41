_base_ = './supervised_deeplabv3plus_r101-d16_4xb4-30k_voc12aug-classic-1464-513x513.py'
# every image has a mask
train_dataloader = dict(
    dataset=dict(labeled=dict(ann_file='ImageSets/Segmentation/trainaug.txt'))
)
