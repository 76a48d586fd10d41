"""Write seeds of images: ``python tools/make_cams.py CONFIG CHECKPOINT ...``."""

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist, is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

import mmsemi  # noqa: F401
from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.annotations.image_tags import class_names
from mmsemi.engine.runner.launch import adapt_to_machine, check_checkpoint
from mmsemi.labeling.cam_evaluation import evaluate_cams
from mmsemi.labeling.cam_store import CamStore
from mmsemi.labeling.image_batches import image_ids
from mmsemi.labeling.images import images_to_label
from mmsemi.labeling.networks import make_manifest
from mmsemi.labeling.result import truth_files
from mmsemi.labeling.seed_setup import seed_tags
from mmsemi.labeling.seeds import make_cams
from mmsemi.models.utils.cam import MODES
from mmsemi.recipes.read import load_stage
from mmsemi.registry import MODELS


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Write the activation maps of images' own classes. Run the same "
        'command again to go on where it was cut.'
    )
    parser.add_argument('config', help='of the training, or recipe')
    parser.add_argument('checkpoint')
    parser.add_argument('--stage', default='classify', help='of a recipe')
    parser.add_argument('--img-dir', required=True, help='folder of the images')
    parser.add_argument('--list', required=True, help='list of them, without suffix')
    parser.add_argument('--img-suffix', default='.jpg')
    parser.add_argument('--tags', required=True, help="file, or folder of VOC's XMLs")
    parser.add_argument(
        '--classes', required=True, help='of a data set, e.g. PascalVOCDataset'
    )
    parser.add_argument('--out-dir', required=True, help='folder of the seeds')
    parser.add_argument('--scales', nargs='+', type=float, default=[1, 0.5, 1.5, 2])
    parser.add_argument('--squares', nargs='+', type=int, help='instead of scales')
    parser.add_argument('--no-flip', action='store_true')
    parser.add_argument('--refine', action='store_true', help='along the affinity')
    parser.add_argument('--normalize', choices=MODES, default='seam')
    parser.add_argument('--overwrite', action='store_true', help='delete other seeds')
    parser.add_argument('--workers', type=int, default=2, help='that load images')
    parser.add_argument('--truth-dir', help='folder of true masks, for a report only')
    parser.add_argument('--seg-map-suffix', default='.png')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Return the config of a training, or of the stage of a recipe."""
    recipe = 'stages' in Config.fromfile(args.config)
    return load_stage(args.config, args.cfg_options, args.stage if recipe else None)


def load_model(cfg: Config, args: argparse.Namespace) -> torch.nn.Module:
    """Build the model of a config, with the weights, on this process's device."""
    cfg.launcher = args.launcher
    adapt_to_machine(cfg)
    cuda = torch.cuda.is_available()
    if cuda and args.launcher != 'none':
        init_dist(args.launcher)
    model = MODELS.build(copy.deepcopy(cfg.model))
    check_checkpoint(args.checkpoint, model, whole=True)
    load_checkpoint(model, args.checkpoint, map_location='cpu')
    return model.to('cuda' if cuda else 'cpu').eval()


def report(store: CamStore, dataset: UnlabeledDataset, truth_dir: str) -> None:
    """Print the mIoU of the seeds, and draw it over the background threshold."""
    ids = image_ids(dataset)
    files = truth_files(dataset, ids, truth_dir)
    found = evaluate_cams(store, dict(zip(ids, files, strict=True)))
    found.save_curve(f'{store.folder}.png')
    print(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the seeds."""
    args = parse_args(argv)
    cfg = load_config(args)
    init_default_scope('mmsemi')
    model = load_model(cfg, args)
    images = dict(
        ann_file=args.list,
        data_prefix=dict(img_path=args.img_dir),
        img_suffix=args.img_suffix,
        seg_map_suffix=args.seg_map_suffix,
    )
    dataset = images_to_label(images, cfg)
    tags = seed_tags(args.tags, dataset, args.classes)
    views = dict(
        scales=args.scales,
        squares=args.squares,
        flip=not args.no_flip,
        refine=args.refine,
    )
    manifest = make_manifest(
        {'classifier': model},
        dataset,
        dict(classes=class_names(args.classes)),
        dict(views, normalize=args.normalize),
        tags,
        model=Path(args.config).name,
        checkpoints=[args.checkpoint],
        tag_file=args.tags,
    )
    store = CamStore(args.out_dir, manifest, overwrite=args.overwrite)
    written, there = make_cams(
        model,
        dataset,
        store,
        tags,
        normalize=args.normalize,
        num_workers=args.workers,
        **views,
    )
    if is_main_process():
        print(f'{args.out_dir}: {written} seeds written, {there} were there')
        if args.truth_dir:
            report(store, dataset, args.truth_dir)


if __name__ == '__main__':
    main()
