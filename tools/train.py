"""Train a model: ``python tools/train.py CONFIG``."""

import argparse
import os

from mmengine.config import Config, DictAction
from mmengine.runner import Runner, find_latest_checkpoint

import mmsemi  # noqa: F401
from mmsemi.engine.runner.launch import (
    adapt_to_machine,
    check_checkpoint,
    enable_amp,
    load_config,
    set_work_dir,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint; without a path, from the last one of '
        'the work dir',
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
        help='overrides of the config, key.path=value',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def choose_checkpoint(cfg: Config, resume: str) -> None:
    """Say in the config what to continue from.

    Without a checkpoint in the work dir, since the run was cut before its first, the
    run starts as it did then, from the config's ``load_from`` if it has one.

    Args:
        cfg: The config, changed in place.
        resume: A checkpoint, or ``'auto'`` for the last one of the work dir.
    """
    path: str | None = resume
    if resume == 'auto':
        path = find_latest_checkpoint(cfg.work_dir)
        # the folder may have been moved since the path was noted in it
        here = os.path.join(cfg.work_dir, os.path.basename(path or ''))
        if os.path.isfile(here):
            path = here
    cfg.resume = bool(path)
    if path:
        cfg.load_from = path


def main(argv: list[str] | None = None) -> None:
    """Build the runner from the config and train."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    if args.amp:
        enable_amp(cfg)
    adapt_to_machine(cfg)
    if args.resume:
        choose_checkpoint(cfg, args.resume)
    runner = Runner.from_cfg(cfg)
    if cfg.get('load_from'):
        model = getattr(runner.model, 'module', runner.model)
        check_checkpoint(cfg.load_from, model, whole=bool(cfg.get('resume')))
    runner.train()


if __name__ == '__main__':
    main()
