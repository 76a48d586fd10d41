"""Train a model, or the stages of a recipe: ``python tools/train.py CONFIG``."""

import argparse
import os
import shlex
import sys

from mmengine.config import DictAction

import mmsemi  # noqa: F401
from mmsemi.recipes.config import load_config, set_work_dir
from mmsemi.recipes.read import read_stages
from mmsemi.recipes.run import plan, run_stages


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='path of the config, which may have stages')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='leave out what is done and go on with what was cut, from the last '
        'checkpoint of the work dir; a config without stages takes a path, too',
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
        help='overrides of the config, key.path=value; with stages, those of each, '
        'and stages.<name>.key.path=value of one',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the plan, train nothing'
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


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
    set_work_dir(cfg, args.config, args.work_dir)
    stages = read_stages(cfg, cfg.work_dir, args.cfg_options, args.amp)
    if args.dry_run:
        if os.environ.get('RANK', '0') == '0':
            print(plan(stages))
        return
    resume: bool | str = args.resume is not None or bool(cfg.get('resume'))
    run_stages(
        stages,
        resume=resume if args.resume in (None, 'auto') else args.resume,
        launcher=args.launcher,
        again=command_to_go_on(sys.argv[1:] if argv is None else argv, args),
    )


if __name__ == '__main__':
    main()
