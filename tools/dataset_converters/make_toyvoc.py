"""Generate ToyVOC, the embedded data set.

    python tools/dataset_converters/make_toyvoc.py data/toyvoc

It takes well under a minute. A folder that is there already is left alone. The lists
of the configs, 24 labelled images of seed 0, are written too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmsemi.datasets.toyvoc.data_set import generate_toyvoc, write_toyvoc_split


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help='folder to make')
    parser.add_argument('--num-train', type=int, default=800, help='default: 800')
    parser.add_argument('--num-val', type=int, default=200, help='default: 200')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument(
        '--num-labeled', type=int, default=24, help='images with a label (default: 24)'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Generate the data set and say where it is."""
    args = parse_args(argv)
    try:
        made = generate_toyvoc(args.root, args.num_train, args.num_val, args.seed)
        split = write_toyvoc_split(args.root, args.num_labeled, seed=0)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    state = 'made' if made else 'was there already'
    count = f'{args.num_train} training and {args.num_val} validation images'
    # the bar ends without a line break
    print(f'\nToyVOC {state}: {count} in {args.root}, lists in {split}')


if __name__ == '__main__':
    main()
