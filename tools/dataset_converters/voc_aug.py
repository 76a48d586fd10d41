"""Complete the VOC 2012 layout with augmented masks, and import published splits.

    python tools/dataset_converters/voc_aug.py data/VOCdevkit/VOC2012 --splits SRC

mmseg's own ``voc_aug.py`` turns SBD's .mat files into ``SegmentationClassAug`` first.
This one adds VOC's finer masks of ``train.txt`` there, writes ``trainaug.txt`` and
imports the lists under SRC to ``splits/{classic,blender}/<number of labeled images>/``.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.atomic import replacing
from mmsemi.datasets.splits.files import import_splits, read_split, write_splits

NUM_TRAINAUG = 10582
FAMILIES = {
    **dict.fromkeys((92, 183, 366, 732, 1464), 'classic'),
    **dict.fromkeys((662, 1323, 2646, 5291), 'blender'),
}


def add_voc_masks(root: Path, train: Sequence[str], force: bool) -> None:
    """Put VOC's own masks of the train images beside SBD's; both protocols use them."""
    changed = []
    print('Comparing the masks of train.txt')
    for name in track_iter_progress(list(train)):
        own = root / 'SegmentationClass' / f'{name}.png'
        aug = root / 'SegmentationClassAug' / f'{name}.png'
        if not aug.exists() or not np.array_equal(
            read_label_map(own), read_label_map(aug)
        ):
            changed.append((own, aug))
    other = [aug for _, aug in changed if aug.exists()]
    if other and not force:
        raise FileExistsError(
            f"{other[0]} ({len(other)} in all) is SBD's mask, not VOC's own finer one; "
            'pass --force to replace it, as the published protocols have it.'
        )
    for own, aug in changed:
        with replacing(aug) as aside:
            shutil.copyfile(own, aside)


def complete(root: Path, force: bool) -> list[str]:
    """Check the layout, add what is missing and return the ids of trainaug.txt."""
    for folder in ('JPEGImages', 'SegmentationClass', 'SegmentationClassAug'):
        if not (root / folder).is_dir():
            raise FileNotFoundError(
                f"There is no {root / folder}; unpack VOC 2012 and run mmseg's "
                'tools/dataset_converters/voc_aug.py first (docs/datasets.md).'
            )
    sets = root / 'ImageSets' / 'Segmentation'
    train, val = read_split(sets / 'train.txt'), set(read_split(sets / 'val.txt'))
    add_voc_masks(root, train, force)
    masks = {path.stem for path in (root / 'SegmentationClassAug').glob('*.png')}
    trainaug = sets / 'trainaug.txt'
    if not trainaug.exists():
        write_splits({trainaug: sorted(masks - val)})
    ids = read_split(trainaug)
    lost = [
        name
        for name in ids
        if name not in masks or not (root / 'JPEGImages' / f'{name}.jpg').is_file()
    ]
    if lost:
        raise FileNotFoundError(
            f'{trainaug} names {lost[0]} ({len(lost)} in all), which lacks its image '
            'or its mask in SegmentationClassAug; complete the folders.'
        )
    held_out = sorted(val.intersection(ids))
    if held_out:
        raise ValueError(
            f'{trainaug} names {held_out[0]} ({len(held_out)} in all) of val.txt; '
            'delete it and run this again.'
        )
    note = '' if len(ids) == NUM_TRAINAUG else f', the protocols have {NUM_TRAINAUG}'
    print(f'{trainaug}: {len(ids)} images{note}')
    return ids


def main(argv: Sequence[str] | None = None) -> int:
    """Complete and import; a bad input is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path('data/VOCdevkit/VOC2012')
    parser.add_argument('root', type=Path, nargs='?', default=default)
    parser.add_argument('--splits', type=Path, help='folder of published lists')
    parser.add_argument('--family', help='name of the splits (default: by their size)')
    parser.add_argument('--force', action='store_true', help='replace other files')
    args = parser.parse_args(argv)
    try:
        ids = complete(args.root, args.force)
        if args.splits:
            families = FAMILIES if args.family is None else args.family
            import_splits(args.splits, args.root / 'splits', ids, families, args.force)
    except (OSError, ValueError) as error:
        print(flush=True)  # a progress bar may stand on this line
        print(f'voc_aug: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
