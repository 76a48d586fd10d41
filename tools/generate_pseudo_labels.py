"""Label images: ``python tools/generate_pseudo_labels.py CONFIG CHECKPOINT ...``."""

import argparse
import copy
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist, is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

import mmsemi  # noqa: F401
from mmsemi.engine.runner.launch import adapt_to_machine, check_checkpoint
from mmsemi.labeling.images import images_to_label, tags_to_label
from mmsemi.labeling.networks import choose_networks, make_manifest
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.pseudo_labeling import generate_pseudo_labels
from mmsemi.models.utils.tta import FUSIONS
from mmsemi.recipes.read import load_stage
from mmsemi.registry import DATASETS, MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Label images with one or several trained networks. Run the same '
        'command again to go on where it was cut.'
    )
    parser.add_argument('config', help='config of the training')
    parser.add_argument(
        'checkpoints', nargs='+', help='checkpoints; several label together'
    )
    images = parser.add_argument_group('images')
    images.add_argument('--img-dir', required=True, help='folder of the images')
    images.add_argument(
        '--list', help='list of images, without suffix; by default the whole folder'
    )
    images.add_argument('--img-suffix', help='by default .jpg for a list')
    images.add_argument(
        '--truth-dir', help='folder of true masks, to report the mIoU of the labels'
    )
    images.add_argument(
        '--seg-map-suffix', default='.png', help='end of the names of true masks'
    )
    add_labelling(parser)
    parser.add_argument('--out-dir', required=True, help='folder of the labels')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='delete labels of another checkpoint or setting in --out-dir',
    )
    parser.add_argument(
        '--batch-size', type=int, help='by default up to 8 on a GPU, 1 on a CPU'
    )
    parser.add_argument('--workers', type=int, default=2, help='that load images')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def add_labelling(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a label is."""
    group = parser.add_argument_group('labels')
    group.add_argument(
        '--networks',
        nargs='+',
        metavar='NAME',
        help='networks of the method that label together, e.g. branch1 branch2; by '
        'default the one that it predicts on',
    )
    group.add_argument(
        '--weights', nargs='+', type=float, help='weight of each, by default equal'
    )
    group.add_argument(
        '--noise',
        type=float,
        default=0.0,
        help='bound of the pixel noise on the weight of two networks',
    )
    group.add_argument(
        '--scales', nargs='+', type=float, default=[1.0], help='e.g. 0.5 0.75 1 1.5 2'
    )
    group.add_argument('--flip', action='store_true', help='label the mirrored too')
    group.add_argument(
        '--fuse',
        choices=FUSIONS,
        default=FUSIONS[0],
        help='what is averaged over scales and flip, by default probabilities',
    )
    group.add_argument(
        '--tags',
        metavar='FILE',
        help='file of image tags (tools/make_image_tags.py) or folder of XMLs: only '
        'classes that the image is tagged with',
    )
    group.add_argument(
        '--allow-empty',
        action='store_true',
        help='images may be tagged with nothing but background',
    )
    group.add_argument(
        '--threshold', type=float, help='pixels of less probability are void (255)'
    )
    group.add_argument('--soft', action='store_true', help='also keep probabilities')
    group.add_argument('--amp', action='store_true', help='half precision')


def load_networks(
    cfg: Config, args: argparse.Namespace, device: str
) -> tuple[dict[str, nn.Module], nn.Module, dict]:
    """Build the model once for each checkpoint.

    Returns:
        The networks that label, by name, the data preprocessor, and the
        ``dataset_meta`` of the first checkpoint.
    """
    networks: dict[str, nn.Module] = {}
    metainfo: dict[str, Any] = {}
    for number, path in enumerate(args.checkpoints):
        model = MODELS.build(copy.deepcopy(cfg.model))
        check_checkpoint(path, model, whole=True)
        meta = load_checkpoint(model, path, map_location='cpu').get('meta', {})
        metainfo = metainfo or meta.get('dataset_meta') or {}
        model.to(device).eval()
        for name, network in choose_networks(model, args.networks).items():
            networks[f'{name} of {number}' if number else name] = network
    return networks, model.data_preprocessor, metainfo


def class_names(cfg: Config, metainfo: dict) -> dict[str, Any]:
    """Return classes and palette: the checkpoint's, else the test data's."""
    if metainfo.get('classes'):
        return metainfo
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    found = DATASETS.get(dataset.get('type', 'BaseSegDataset'))
    return {**getattr(found, 'METAINFO', {}), **dataset.get('metainfo', {})}


def start_processes(cfg: Config, launcher: str) -> str:
    """Join the other processes, and return the device."""
    cfg.launcher = launcher
    adapt_to_machine(cfg)
    if not torch.cuda.is_available():
        return 'cpu'
    if launcher != 'none':
        init_dist(launcher)
    return 'cuda'


def main(argv: list[str] | None = None) -> None:
    """Label the images."""
    args = parse_args(argv)
    cfg = load_stage(args.config, args.cfg_options)
    init_default_scope('mmsemi')
    device = start_processes(cfg, args.launcher)
    dataset = images_to_label(
        dict(
            ann_file=args.list or '',
            data_prefix=dict(img_path=args.img_dir),
            img_suffix=args.img_suffix,
            seg_map_suffix=args.seg_map_suffix,
        ),
        cfg,
    )
    networks, preprocessor, metainfo = load_networks(cfg, args, device)
    metainfo = class_names(cfg, metainfo)
    names = ('scales', 'flip', 'weights', 'noise', 'threshold', 'amp', 'fuse')
    settings = {name: getattr(args, name) for name in names}
    tags = None
    if args.tags:
        classes = metainfo.get('classes')
        tags = tags_to_label(args.tags, dataset, classes, args.allow_empty)
    manifest = make_manifest(
        networks,
        dataset,
        metainfo,
        dict(settings, soft=args.soft),
        tags,
        model=Path(args.config).name,
        checkpoints=args.checkpoints,
        tag_file=args.tags,
    )
    store = PseudoLabelStore(
        args.out_dir,
        manifest,
        metainfo.get('palette') or (),
        soft=args.soft,
        overwrite=args.overwrite,
    )
    result = generate_pseudo_labels(
        list(networks.values()),
        dataset,
        store,
        preprocessor=preprocessor,
        batch_size=args.batch_size,
        num_workers=args.workers,
        truth_dir=args.truth_dir,
        tags=tags,
        **settings,
    )
    if is_main_process():
        print(f'{args.out_dir}: {result}')


if __name__ == '__main__':
    main()
