"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import os

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import mmsemi  # noqa: F401
from mmsemi.engine.runner.launch import adapt_to_machine, check_checkpoint
from mmsemi.recipes.config import set_work_dir
from mmsemi.recipes.read import load_stage


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Test a segmentor')
    parser.add_argument('config', help='path of the config or recipe')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--stage', help='of a recipe, by default its last')
    parser.add_argument('--work-dir', help='folder of the log and the metrics')
    parser.add_argument(
        '--predict-on',
        metavar='NETWORK',
        help='network of the method to test, e.g. student or teacher',
    )
    parser.add_argument('--out', help='folder for the predicted label maps')
    parser.add_argument(
        '--show', action='store_true', help='show each prediction in a window'
    )
    parser.add_argument('--show-dir', help='folder for painted predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds of each window'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation (tta_pipeline)'
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


def choose_network(cfg: Config, name: str) -> None:
    """Let a method predict on one of its networks."""
    if 'segmentor' not in cfg.model:
        raise ValueError(
            f'--predict-on {name}: {cfg.model.type} is one network and not a method '
            'of mmsemi: remove --predict-on'
        )
    cfg.model.predict_on = name


def paint(cfg: Config, args: argparse.Namespace) -> None:
    """Turn the visualization hook on."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need the hook that paints: add '
            "default_hooks=dict(visualization=dict(type='SegVisualizationHook'))"
        )
    hook.draw, hook.show, hook.wait_time = True, args.show, args.wait_time
    # every image, also where the hook's own default is less
    hook.interval = 1
    if args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def augment(cfg: Config) -> None:
    """Test each image in the views of ``tta_pipeline``."""
    missing = [name for name in ('tta_model', 'tta_pipeline') if name not in cfg]
    if missing:
        raise ValueError(
            f'--tta needs {" and ".join(missing)} in the config, see the '
            "TestTimeAug transform and mmseg's SegTTAModel"
        )
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)


def main(argv: list[str] | None = None) -> None:
    """Build the runner from the config and test."""
    args = parse_args(argv)
    cfg = load_stage(args.config, args.cfg_options, args.stage)
    cfg.launcher, cfg.load_from, cfg.resume = args.launcher, args.checkpoint, False
    set_work_dir(cfg, args.config, args.work_dir)
    if args.predict_on:
        choose_network(cfg, args.predict_on)
    if args.show or args.show_dir:
        paint(cfg, args)
    if args.out:
        metrics = cfg.test_evaluator
        for metric in [metrics] if isinstance(metrics, dict) else metrics:
            metric.output_dir = args.out
    if args.tta:
        augment(cfg)
    adapt_to_machine(cfg)
    runner = Runner.from_cfg(cfg)
    model = runner.model
    # of data parallelism and of test-time augmentation
    while hasattr(model, 'module'):
        model = model.module
    check_checkpoint(args.checkpoint, model, whole=True)
    runner.test()


if __name__ == '__main__':
    main()
