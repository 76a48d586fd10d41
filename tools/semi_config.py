"""Write a semi-supervised config from that of a supervised training.

Examples:
    python tools/semi_config.py my_segformer.py --method u2pl \
        --labeled splits/labeled.txt --unlabeled splits/unlabeled.txt
    python tools/semi_config.py my_segformer.py --method unimatch \
        --labeled splits/labeled.txt --unlabeled data/more_images --out semi.py
    python tools/train.py my_segformer_u2pl.py
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, DictAction

from mmsemi.apis.config_text import Name, assignments, changes
from mmsemi.apis.semi_config import METHODS, build_model, make_semi_config
from mmsemi.recipes.config import load_config, merge_options


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a supervised training with mmseg')
    parser.add_argument('--method', required=True, help=', '.join(METHODS))
    parser.add_argument(
        '--labeled', required=True, help='list of the labelled images, an id a line'
    )
    parser.add_argument(
        '--unlabeled', required=True, help='list of the others, or a folder of images'
    )
    parser.add_argument(
        '--batch',
        type=int,
        nargs=2,
        metavar=('LABELED', 'UNLABELED'),
        help="images of a batch; default: both the config's batch_size",
    )
    parser.add_argument('--out', type=Path, help='default: CONFIG_METHOD.py, here')
    parser.add_argument('--force', action='store_true', help='replace that file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the new config, e.g. model.unsup_weight=0.5',
    )
    return parser.parse_args(argv)


def read(path: str) -> Config:
    """Read a config.

    Raises:
        ValueError: If the file is none.
    """
    try:
        return load_config(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        what = f'{type(error).__name__}: {error}'
        raise ValueError(
            f'{path} cannot be read as a config ({what}): give the one that mmseg '
            'trains with'
        ) from error


def text(cfg: Config, plain: Config, args: argparse.Namespace, out: Path) -> str:
    """Return the new config as changes of the given one."""
    new, old = cfg.to_dict(), plain.to_dict()
    if new['model']['segmentor'] == old['model']:
        new['model']['segmentor'] = Name('_base_.model')
    base = os.path.relpath(args.config, out.parent)
    origin = f'# {args.method} on {Path(args.config).name}, by tools/semi_config.py\n'
    lists = f'# labelled: {args.labeled}\n# unlabelled: {args.unlabeled}\n'
    return origin + lists + assignments(dict(_base_=base, **changes(new, old)))


def write(args: argparse.Namespace) -> str:
    """Write the config and return what to say about it."""
    out = args.out or Path(f'{Path(args.config).stem}_{args.method}.py')
    if out.exists() and not args.force:
        raise FileExistsError(f'{out} exists: give another --out, or --force')
    plain = read(args.config)
    batch = tuple(args.batch) if args.batch else None
    cfg = make_semi_config(plain, args.method, args.labeled, args.unlabeled, batch)
    merge_options(cfg, args.cfg_options)
    build_model(cfg)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text(cfg, plain, args, out), encoding='utf-8')
    num = cfg.train_dataloader.sampler.num_per_source
    lines = [
        f'wrote {out}: {args.method} on {cfg.model.segmentor.type}, '
        f'{num.labeled} labelled and {num.unlabeled} unlabelled images a batch, '
        f'{cfg.train_cfg.max_iters} iterations',
        f'train with: python tools/train.py {out}',
    ]
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the config; a bad input is one sentence and exit code 1."""
    args = parse_args(argv)
    try:
        print(write(args))
    except (OSError, ValueError) as error:
        print(f'semi_config: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
