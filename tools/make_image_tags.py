"""Write the image tags of a data set to one file, so that masks are not needed later.

Examples:
    python tools/make_image_tags.py voc data/VOCdevkit/VOC2012/Annotations \
        --ids data/VOCdevkit/VOC2012/ImageSets/Segmentation/trainaug.txt \
        --classes PascalVOCDataset --out data/VOCdevkit/VOC2012/tags.json
    python tools/make_image_tags.py masks data/camvid/masks \
        --ids data/camvid/train.txt --classes CamVidDataset --out data/camvid/tags.csv
    python tools/make_image_tags.py npy cls_labels.npy --classes PascalVOCDataset \
        --out data/VOCdevkit/VOC2012/tags.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsemi.datasets.annotations.image_tags import class_names
from mmsemi.datasets.annotations.pickled_tags import read_pickled_tags
from mmsemi.datasets.annotations.tag_files import read_tag_file, write_tag_file
from mmsemi.datasets.splits.files import read_split
from mmsemi.datasets.transforms import LoadImageTags

Tags = dict[str, np.ndarray]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    for name, text in dict(
        voc="from VOC's XMLs",
        masks='from masks: tags that an annotator would give, for experiments',
        npy='from a published cls_labels.npy, a pickle: only from a source you trust',
    ).items():
        command = commands.add_parser(name, help=text)
        command.add_argument('src', type=Path, help='folder, or the file')
        command.add_argument(
            '--classes',
            required=True,
            help='name of a data set, as PascalVOCDataset, or class names with commas',
        )
        command.add_argument('--out', type=Path, required=True, help='.json or .csv')
        command.add_argument('--force', action='store_true', help='replace other tags')
        command.add_argument(
            '--ids', type=Path, required=name != 'npy', help='list of the images'
        )
        if name != 'npy':
            command.add_argument('--suffix', help='default: .xml for voc, else .png')
            command.add_argument(
                '--allow-empty', action='store_true', help='images without any object'
            )
        if name == 'masks':
            command.add_argument(
                '--reduce-zero-label', action='store_true', help='0 is void (ADE20K)'
            )
    return parser.parse_args(argv)


def collect(args: argparse.Namespace, classes: list[str]) -> Tags:
    """Read the tags of all images."""
    if args.command == 'npy':
        print(
            f'WARNING: {args.src} is a pickle, which can run code when it is loaded. '
            'Only arrays are accepted from it here; use no file of doubtful origin.',
            file=sys.stderr,
        )
        tags = read_pickled_tags(args.src, classes)
        if args.ids is None:
            return tags
        ids = read_split(args.ids)
        missing = [name for name in ids if name not in tags]
        if missing:
            raise ValueError(
                f'{args.src} has no tags of {missing[0]!r} ({len(missing)} of '
                f'{args.ids} are missing): give the file of this data set'
            )
        return {name: tags[name] for name in ids}
    load = LoadImageTags(
        format=args.command,
        classes=classes,
        path=str(args.src),
        # ids are paths below the folders
        img_folder='',
        img_suffix='',
        suffix=args.suffix,
        reduce_zero_label=getattr(args, 'reduce_zero_label', False),
        allow_empty=args.allow_empty,
    )
    ids = read_split(args.ids)
    return {
        name: load(dict(img_path=name))['gt_tags'] for name in track_iter_progress(ids)
    }


def save(path: Path, tags: Tags, classes: list[str], force: bool) -> None:
    """Write the file, unless another one is there.

    Raises:
        FileExistsError: Without ``force``, the file holds other tags.
    """
    if path.exists() and not force:
        try:
            found = read_tag_file(path, classes)
            same = found.keys() == tags.keys() and all(
                np.array_equal(found[name], tags[name]) for name in tags
            )
        except ValueError:
            same = False
        if not same:
            raise FileExistsError(
                f'{path} exists and holds something else: choose another file, or pass '
                '--force to replace it'
            )
    write_tag_file(path, tags, classes)


def describe(tags: Tags, classes: list[str]) -> str:
    """Say how many images have each class."""
    counts = np.sum(list(tags.values()), axis=0)
    rows = [f'{n:7d}  {name}' for name, n in zip(classes, counts, strict=True)]
    return '\n'.join([f'{len(tags)} images, with the tag', *rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Write a tag file; a bad input is one sentence and exit code 1."""
    args = parse_args(argv)
    try:
        single = args.classes.isidentifier()
        classes = class_names(args.classes if single else args.classes.split(','))
        tags = collect(args, classes)
        save(args.out, tags, classes, args.force)
    except (OSError, ValueError) as error:
        print(flush=True)  # a progress bar may stand on this line
        print(f'make_image_tags: {error}', file=sys.stderr)
        return 1
    print(f'\n{describe(tags, classes)}\nIn {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
