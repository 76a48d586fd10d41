"""Check Cityscapes' label maps, list its train images and import published splits.

    python tools/dataset_converters/cityscapes_semi.py data/cityscapes --splits SRC

The lists under SRC go to ``splits/<number of labeled images>/``, all train images to
``train.txt``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmsemi.datasets.splits.files import import_splits, read_split, write_splits

NUM_TRAIN = 2975
IMAGE, LABEL = '_leftImg8bit.png', '_gtFine_labelTrainIds.png'


def list_train(root: Path) -> list[str]:
    """Return the sorted ids ``<city>/<frame>`` of the train images, all with labels."""
    folder = root / 'leftImg8bit' / 'train'
    ids = sorted(
        path.relative_to(folder).as_posix().removesuffix(IMAGE)
        for path in folder.glob(f'*/*{IMAGE}')
    )
    if not ids:
        raise FileNotFoundError(
            f'{folder} holds no <city>/*{IMAGE}; unpack leftImg8bit_trainvaltest.zip.'
        )
    labels = root / 'gtFine' / 'train'
    lost = [name for name in ids if not (labels / f'{name}{LABEL}').is_file()]
    if lost:
        raise FileNotFoundError(
            f'{len(lost)} label maps are missing, first {labels / lost[0]}{LABEL}; run '
            "mmseg's tools/dataset_converters/cityscapes.py on gtFine."
        )
    return ids


def write_train(path: Path, ids: Sequence[str], force: bool) -> None:
    """Write train.txt, unless mmseg's converter wrote the same images unsorted."""
    if not path.exists() or set(read_split(path)) != set(ids):
        write_splits({path: ids}, force=force)
    note = '' if len(ids) == NUM_TRAIN else f', the protocols have {NUM_TRAIN}'
    print(f'{path}: {len(ids)} images{note}')


def main(argv: Sequence[str] | None = None) -> int:
    """Check and import; a bad input is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, nargs='?', default=Path('data/cityscapes'))
    parser.add_argument('--splits', type=Path, help='folder of published lists')
    parser.add_argument('--family', default='', help='sub-folder of splits/ to fill')
    parser.add_argument('--force', action='store_true', help='replace other lists')
    args = parser.parse_args(argv)
    try:
        ids = list_train(args.root)
        write_train(args.root / 'train.txt', ids, args.force)
        if args.splits:
            out = args.root / 'splits'
            import_splits(args.splits, out, ids, args.family, args.force)
    except (OSError, ValueError) as error:
        print(f'cityscapes_semi: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
