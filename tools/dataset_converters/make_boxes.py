"""Write the boxes of a data set to one COCO-style JSON, so that LoadBoxes reads it.

Examples:
    python tools/dataset_converters/make_boxes.py components \
        data/camvid/annotations/train --images data/camvid/images/train \
        --ids data/camvid/train.txt --classes CamVidDataset --min-area 20 \
        --out data/camvid/boxes_train.json
    python tools/dataset_converters/make_boxes.py instances \
        data/VOCdevkit/VOC2012/SegmentationObject \
        --masks data/VOCdevkit/VOC2012/SegmentationClass \
        --images data/VOCdevkit/VOC2012/JPEGImages \
        --ids data/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt \
        --classes PascalVOCDataset --out data/VOCdevkit/VOC2012/boxes_train.json
    python tools/dataset_converters/make_boxes.py cityscapes \
        data/cityscapes/gtFine/train --images data/cityscapes/leftImg8bit/train \
        --img-suffix _leftImg8bit.png --ids data/cityscapes/train.txt \
        --classes CityscapesDataset --out data/cityscapes/boxes_train.json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsemi.datasets import LoadBoxes
from mmsemi.datasets.annotations.box_files import Boxes, coco_boxes
from mmsemi.datasets.annotations.image_tags import class_names
from mmsemi.datasets.atomic import replacing
from mmsemi.datasets.file_checks import check_image_file, picture_size
from mmsemi.datasets.splits.files import read_split

KINDS = dict(
    components='of the connected components of masks, to simulate box annotations',
    instances='of instance masks, e.g. SegmentationObject of VOC',
    cityscapes='of the polygons of Cityscapes, things and stuff alike',
)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    for name, text in KINDS.items():
        command = commands.add_parser(name, help=text)
        command.add_argument('src', type=Path, help='folder of the files')
        if name == 'instances':
            command.add_argument(
                '--masks', type=Path, required=True, help='class of each instance'
            )
        if name == 'components':
            command.add_argument(
                '--min-area', type=int, default=1, help='pixels of the smallest'
            )
        command.add_argument(
            '--images', type=Path, required=True, help='folder of the images'
        )
        command.add_argument('--img-suffix', default='.jpg', help='default: .jpg')
        command.add_argument('--suffix', help='end of the file names in its place')
        command.add_argument(
            '--ids', type=Path, required=True, help='list of the images'
        )
        command.add_argument(
            '--classes',
            required=True,
            help='name of a data set, as CamVidDataset, or class names with commas',
        )
        command.add_argument('--out', type=Path, required=True, help='the JSON')
        command.add_argument('--force', action='store_true', help='replace other boxes')
        command.add_argument(
            '--allow-empty', action='store_true', help='images without any object'
        )
    args = parser.parse_args(argv)
    if getattr(args, 'min_area', 1) < 1:
        parser.error(f'--min-area {args.min_area}: give at least 1 pixel')
    return args


def read_boxes(
    args: argparse.Namespace, load: LoadBoxes
) -> tuple[dict[str, Boxes], dict[str, tuple[int, int]]]:
    """Return boxes and size (height, width) of each image, by its file name.

    Raises:
        FileNotFoundError: An image or its boxes are not there.
        ValueError: Boxes are wrong, outside of their image, or there is none.
    """
    images, sizes = {}, {}
    for name in track_iter_progress(read_split(args.ids)):
        file = f'{name}{args.img_suffix}'
        path = str(args.images / file)
        check_image_file(path, 'image')
        sizes[file] = picture_size(path)
        # LoadBoxes looks at the size alone
        results = load(dict(img_path=path, img=np.broadcast_to(0, sizes[file])))
        # the last box is the image itself
        images[file] = results['gt_bboxes'][:-1], results['gt_bboxes_labels'][:-1]
    return images, sizes


def save(path: Path, found: dict, force: bool) -> None:
    """Write the JSON whole or not at all.

    Raises:
        FileExistsError: Without ``force``, the file holds something else.
    """
    text = json.dumps(found) + '\n'
    if path.exists() and not force and path.read_text('utf-8') != text:
        raise FileExistsError(
            f'{path} exists and holds something else: choose another file, or pass '
            '--force to replace it'
        )
    with replacing(path) as aside:
        aside.write_text(text, 'utf-8')


def describe(images: dict[str, Boxes], classes: Sequence[str]) -> str:
    """Say how many boxes each class has, and in how many images."""
    labels = [labels for _, labels in images.values()]
    rows = [f'{len(images)} images with {sum(map(len, labels))} boxes']
    rows += ['  boxes   images  class']
    for label, name in enumerate(classes, 1):
        counts = [int((found == label).sum()) for found in labels]
        rows.append(f'{sum(counts):7d}  {sum(map(bool, counts)):7d}  {name}')
    return '\n'.join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the boxes; a bad input is one sentence and exit code 1."""
    args = parse_args(argv)
    try:
        names = args.classes
        masks = getattr(args, 'masks', None)
        load = LoadBoxes(
            format=args.command,
            path=str(args.src),
            classes=class_names(names if names.isidentifier() else names.split(',')),
            img_folder=str(args.images),
            img_suffix=args.img_suffix,
            suffix=args.suffix,
            mask_folder=None if masks is None else str(masks),
            min_area=getattr(args, 'min_area', 1),
            allow_empty=args.allow_empty,
        )
        images, sizes = read_boxes(args, load)
        save(args.out, coco_boxes(images, sizes, load.classes), args.force)
    except (OSError, ValueError) as error:
        print(flush=True)  # a progress bar may stand on this line
        print(f'make_boxes: {error}', file=sys.stderr)
        return 1
    print(f'\n{describe(images, load.classes)}\nIn {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
