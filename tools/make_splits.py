"""Import, generate and check the lists of labeled and unlabeled images.

Examples:
    python tools/make_splits.py import published/92 --out data/VOCdevkit/VOC2012/splits
    python tools/make_splits.py generate --ids data/camvid/train.txt --num 12 \
        --out data/camvid/splits/12
    python tools/make_splits.py check --labeled data/camvid/splits/12/labeled.txt \
        --unlabeled data/camvid/splits/12/unlabeled.txt
"""

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from mmsemi.datasets.splits.generate import (
    SplitReport,
    check_split,
    class_histograms,
    generate_split,
    parse_split,
    read_pair,
    read_split,
    write_splits,
)


def _add_masks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--masks', type=Path, help='folder of label maps')
    parser.add_argument('--seg-map-suffix', default='.png')
    parser.add_argument('--num-classes', type=int)
    parser.add_argument('--ignore-index', type=int, default=255)
    parser.add_argument(
        '--reduce-zero-label', action='store_true', help='label 0 is void (ADE20K)'
    )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--force', action='store_true', help='replace other lists')


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)

    convert = commands.add_parser('import', help='turn published lists into ids')
    convert.add_argument(
        'src', type=Path, help='a list, or a folder with labeled.txt and unlabeled.txt'
    )
    convert.add_argument('--img-prefix', help="folder that mmseg's img_path names")
    convert.add_argument('--img-suffix', help='end of the image names, to cut off')
    _add_out(convert)

    generate = commands.add_parser('generate', help='draw a seeded split')
    generate.add_argument('--ids', type=Path, required=True, help='list of all images')
    size = generate.add_mutually_exclusive_group(required=True)
    size.add_argument('--num', type=int, help='how many to label')
    size.add_argument('--fraction', type=Fraction, help='which part, as 1/8 or 0.125')
    generate.add_argument('--seed', type=int, default=0)
    generate.add_argument(
        '--balanced', action='store_true', help='every class, about equally often'
    )
    _add_masks(generate)
    _add_out(generate)

    check = commands.add_parser('check', help='check a pair of lists')
    check.add_argument('--labeled', type=Path, required=True)
    check.add_argument('--unlabeled', type=Path, required=True)
    check.add_argument('--images', type=Path, help='folder of images')
    check.add_argument('--img-suffix', default='.jpg')
    check.add_argument('--verify', action='store_true', help='decode every image')
    _add_masks(check)
    return parser.parse_args(argv)


def run_import(args: argparse.Namespace) -> None:
    """Write a published list, or both of a folder, as ids."""
    style = dict(img_prefix=args.img_prefix, img_suffix=args.img_suffix)
    sources = [args.src]
    if args.src.is_dir():
        sources = [args.src / 'labeled.txt', args.src / 'unlabeled.txt']
        read_pair(*sources, **style)
    lists = {}
    for path in sources:
        lists[args.out / path.name], line_format = parse_split(path, **style)
        print(f"{path}: {len(lists[args.out / path.name])} images, '{line_format}'")
    write_splits(lists, force=args.force)
    print('In ' + ', '.join(map(str, lists)))


def run_generate(args: argparse.Namespace) -> None:
    """Draw and write a split."""
    ids = read_split(args.ids)
    histograms = None
    if args.balanced:
        if args.masks is None or args.num_classes is None:
            raise ValueError('--balanced needs --masks and --num-classes.')
        histograms = class_histograms(
            [args.masks / f'{name}{args.seg_map_suffix}' for name in ids],
            args.num_classes,
            ignore_index=args.ignore_index,
            reduce_zero_label=args.reduce_zero_label,
        )
    labeled, unlabeled = generate_split(
        ids,
        args.num,
        fraction=None if args.fraction is None else float(args.fraction),
        seed=args.seed,
        class_histograms=histograms,
    )
    lists = {args.out / 'labeled.txt': labeled, args.out / 'unlabeled.txt': unlabeled}
    write_splits(lists, force=args.force)
    print(f'{len(labeled)} labeled and {len(unlabeled)} unlabeled images in {args.out}')


def run_check(args: argparse.Namespace) -> None:
    """Check a split and print what was counted."""
    report = check_split(
        args.labeled,
        args.unlabeled,
        img_dir=args.images,
        img_suffix=args.img_suffix,
        mask_dir=args.masks,
        seg_map_suffix=args.seg_map_suffix,
        num_classes=args.num_classes,
        ignore_index=args.ignore_index,
        reduce_zero_label=args.reduce_zero_label,
        verify=args.verify,
    )
    print(describe(report))


def describe(report: SplitReport) -> str:
    """Write a report as text, with a table of the classes where they were counted."""
    lines = [
        f'|L| = {report.num_labeled}, |U| = {report.num_unlabeled}: no overlap, no '
        'duplicates, no missing file in the folders given'
    ]
    if report.pixels is not None and report.images is not None:
        lines.append('class  labeled images       pixels   share')
        total = max(report.pixels.sum(), 1)
        for c, (images, pixels) in enumerate(
            zip(report.images, report.pixels, strict=True)
        ):
            note = '  <- in no labeled image' if images == 0 else ''
            lines.append(
                f'{c:5d}  {images:14d} {pixels:12d} {pixels / total:7.2%}{note}'
            )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; a bad input is one sentence and exit code 1."""
    args = parse_args(argv)
    run = {'import': run_import, 'generate': run_generate, 'check': run_check}
    try:
        run[args.command](args)
    except (OSError, ValueError) as error:
        print(flush=True)  # a progress bar may stand on this line
        print(f'make_splits: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
