"""Train a model, or the stages of a recipe: ``python tools/train.py CONFIG``."""

import argparse
import os
import shlex
import sys

from mmengine.config import Config, DictAction

import mmsemi  # noqa: F401
from mmsemi.engine.runner.launch import (
    adapt_to_machine,
    choose_checkpoint,
    enable_amp,
    load_config,
    merge_options,
    set_work_dir,
    train,
)
from mmsemi.engine.runner.recipe import read_recipe
from mmsemi.engine.runner.stage_runner import plan, run_stages


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='path of the config or of the recipe')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint; without a path, from the last one of '
        'the work dir; a recipe takes no path and continues with the stage not done',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='half precision: float16 on a GPU, bfloat16 on the CPU',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides of the config, key.path=value; of a recipe, those of every '
        "stage's config, and stages.<name>.key.path=value of one",
    )
    parser.add_argument(
        '--dry-run', action='store_true', help="print a recipe's plan, train nothing"
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def train_recipe(cfg: Config, args: argparse.Namespace, words: list[str]) -> None:
    """Train the stages of a recipe, or print what would be done."""
    if args.resume not in (None, 'auto'):
        raise ValueError(
            f'--resume {args.resume}: {args.config} is a recipe, whose stages go on '
            'from their own last checkpoints: give --resume without a path'
        )
    set_work_dir(cfg, args.config, args.work_dir)
    stages = read_recipe(cfg, cfg.work_dir, args.cfg_options, args.amp)
    if args.dry_run:
        if os.environ.get('RANK', '0') == '0':
            print(plan(stages))
        return
    again = command_to_go_on(words, args)
    resume = args.resume is not None
    run_stages(stages, resume=resume, launcher=args.launcher, again=again)


def command_to_go_on(words: list[str], args: argparse.Namespace) -> str:
    """Return the command line that resumes this one.

    Args:
        words: The arguments of this command.
        args: The same, read.
    """
    here = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
    start = ['python', f'{here}/train.py']
    if args.launcher == 'pytorch':
        processes = os.environ.get('LOCAL_WORLD_SIZE', '1')
        start = [f'{here}/dist_train.sh', args.config, processes]
        words = [w for w in words if w not in (args.config, '--launcher', 'pytorch')]
    if args.resume is None:
        words = [*words, '--resume']
    return shlex.join([*start, *words])


def main(argv: list[str] | None = None) -> None:
    """Train with the config, or with each of its stages."""
    args = parse_args(argv)
    cfg = load_config(args.config)
    if 'stages' in cfg:
        train_recipe(cfg, args, sys.argv[1:] if argv is None else argv)
        return
    if args.dry_run:
        raise ValueError(
            f'--dry-run prints the stages of a recipe, and {args.config} has none: '
            'leave it out'
        )
    merge_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    if args.amp:
        enable_amp(cfg)
    adapt_to_machine(cfg)
    if args.resume:
        choose_checkpoint(cfg, args.resume)
    train(cfg)


if __name__ == '__main__':
    main()
