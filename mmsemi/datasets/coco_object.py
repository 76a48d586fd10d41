"""COCO's 80 classes of things, and background."""

from mmseg.datasets import BaseSegDataset

from mmsemi.datasets.toyvoc.data_set import voc_colour_map
from mmsemi.registry import DATASETS

CLASSES = tuple(
    'background,person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,'
    'traffic light,fire hydrant,stop sign,parking meter,bench,bird,cat,dog,horse,'
    'sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,'
    'frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,'
    'surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,'
    'sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,'
    'potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,'
    'microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,'
    'hair drier,toothbrush'.split(',')
)


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """COCO as weak supervision reads it: class 0 is background, 1…80 are things.

    Masks are PNGs of these labels, 255 is void.
    """

    METAINFO = dict(classes=CLASSES, palette=voc_colour_map()[: len(CLASSES)].tolist())

    def __init__(
        self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', **kwargs: object
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
