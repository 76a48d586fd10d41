_base_ = './supervised_deeplabv3plus_r50-d16_4xb4-30k_voc12aug-seed0-200-513x513.py'
# every image has a mask
labeled_list = 'ImageSets/Segmentation/trainaug.txt'
