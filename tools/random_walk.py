"""Spread seeds to labels: ``python tools/random_walk.py CONFIG CHECKPOINT ...``."""

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist, is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

import mmsemi  # noqa: F401
from mmsemi.engine.runner.launch import adapt_to_machine, check_checkpoint
from mmsemi.labeling.cam_store import CamStore
from mmsemi.labeling.images import images_to_label
from mmsemi.labeling.networks import weights_sha256
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.random_walk import walk_seeds
from mmsemi.labeling.seed_setup import (
    class_palette,
    label_manifest,
    miou_with_truth,
    seed_images,
)
from mmsemi.recipes.read import load_stage
from mmsemi.registry import MODELS


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Spread seeds along the affinities of a network, and label the '
        'images. Run the same command again to go on where it was cut.'
    )
    parser.add_argument('config', help='of the training, or recipe')
    parser.add_argument('checkpoint')
    parser.add_argument('--stage', default='affinity', help='of a recipe')
    parser.add_argument('--cams', required=True, help='folder of the seeds')
    parser.add_argument('--img-dir', required=True, help='folder of the images')
    parser.add_argument(
        '--list', required=True, help='list that the seeds were made of'
    )
    parser.add_argument('--img-suffix', default='.jpg')
    parser.add_argument(
        '--classes', required=True, help='of a data set, for the colours'
    )
    parser.add_argument('--out-dir', required=True, help='folder of the labels')
    add_walk(parser)
    parser.add_argument('--overwrite', action='store_true', help='delete other labels')
    parser.add_argument('--workers', type=int, default=2, help='threads and processes')
    parser.add_argument('--truth-dir', help='folder of true masks, for a report only')
    parser.add_argument('--seg-map-suffix', default='.png')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    if args.threshold is not None and args.power is not None:
        parser.error('--threshold and --power are two backgrounds: give one')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def add_walk(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a label is."""
    parser.add_argument(
        '--threshold', type=float, help='constant background, by default 0.42'
    )
    parser.add_argument('--power', type=float, help="PSA's background instead: 16")
    parser.add_argument('--beta', type=float, default=14)
    parser.add_argument('--log-t', type=int, default=7)
    parser.add_argument(
        '--crf',
        nargs='*',
        action=DictAction,
        help='sharpen with a dense CRF: iterations=10 bilateral=50,5,10 confidence=0.7',
    )


def load_model(args: argparse.Namespace) -> tuple[Config, Any]:
    """Return the config of the training, and its model with the weights."""
    recipe = 'stages' in Config.fromfile(args.config)
    cfg = load_stage(args.config, args.cfg_options, args.stage if recipe else None)
    init_default_scope('mmsemi')
    cfg.launcher = args.launcher
    adapt_to_machine(cfg)
    cuda = torch.cuda.is_available()
    if cuda and args.launcher != 'none':
        init_dist(args.launcher)
    model = MODELS.build(copy.deepcopy(cfg.model))
    check_checkpoint(args.checkpoint, model, whole=True)
    load_checkpoint(model, args.checkpoint, map_location='cpu')
    return cfg, model.to('cuda' if cuda else 'cpu').eval()


def main(argv: Sequence[str] | None = None) -> None:
    """Write the labels."""
    args = parse_args(argv)
    cfg, model = load_model(args)
    images = dict(
        ann_file=args.list,
        data_prefix=dict(img_path=args.img_dir),
        img_suffix=args.img_suffix,
        seg_map_suffix=args.seg_map_suffix,
    )
    dataset = images_to_label(images, cfg)
    seeds = CamStore.load(args.cams)
    seed_images(seeds, dataset, args.classes)
    background = dict(threshold=0.42 if args.threshold is None else args.threshold)
    if args.power is not None:
        background = dict(power=args.power)
    walk: dict[str, Any] = dict(
        background=background, beta=args.beta, log_t=args.log_t, crf=args.crf
    )
    manifest = label_manifest(
        seeds,
        [weights_sha256(model)],
        walk,
        model=Path(args.config).name,
        checkpoints=[args.checkpoint],
    )
    palette = class_palette(args.classes)
    store = PseudoLabelStore(args.out_dir, manifest, palette, overwrite=args.overwrite)
    result = walk_seeds(model, dataset, seeds, store, num_workers=args.workers, **walk)
    say = print if is_main_process() else (lambda text: None)
    say(f'{args.out_dir}: {result}')
    if args.truth_dir:
        miou = miou_with_truth(store, dataset, args.truth_dir)
        say(f'{args.out_dir}: mIoU with the truth {miou:.2f}')


if __name__ == '__main__':
    main()
