"""Images per second of the labelling, beside a plain loop with the same network.

The plain loop takes one image at a time: it loads, predicts each view, and writes
the PNG before it goes on. The labelling loads in threads of their own, predicts
images of equal size together, and writes in threads. Both run in one call, in turn,
and each is measured by the least of some repeats.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.pseudo_labeling import generate_pseudo_labels
from mmsemi.models.utils.tta import tta_probabilities
from mmsemi.registry import MODELS

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=64)
    parser.add_argument(
        '--size', type=int, nargs=2, default=(96, 128), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--classes', type=int, default=21)
    parser.add_argument('--base-channels', type=int, default=32, help='of ResNet-18')
    parser.add_argument(
        '--batch-size', type=int, help='by default up to 8 on a GPU, 1 on a CPU'
    )
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1, help='that compute')
    parser.add_argument('--scales', type=float, nargs='+', default=[1.0])
    parser.add_argument('--flip', action='store_true')
    parser.add_argument('--repeats', type=int, default=3)
    return parser.parse_args()


def build(args: argparse.Namespace) -> nn.Module:
    """Build a ResNet-18 FCN of output stride 16."""
    channels = 8 * args.base_channels
    norm_cfg = dict(type='BN')
    segmentor = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            size=tuple(args.size),
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=args.base_channels,
            stem_channels=args.base_channels,
            strides=(1, 2, 2, 1),
            dilations=(1, 1, 1, 2),
            norm_cfg=norm_cfg,
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=channels,
            channels=args.base_channels,
            num_convs=1,
            num_classes=args.classes,
            norm_cfg=norm_cfg,
        ),
        test_cfg=dict(mode='whole'),
    )
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return MODELS.build(ConfigDict(segmentor)).to(device).eval()


def draw_images(folder: Path, args: argparse.Namespace) -> None:
    """Write smooth pictures as JPEGs, as long to decode as photographs."""
    rng = np.random.default_rng(0)
    height, width = args.size
    for i in range(args.images):
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(folder / f'{i:05}.jpg')


@torch.no_grad()
def plain_loop(
    model: nn.Module, images: Path, out: Path, args: argparse.Namespace
) -> None:
    """Label one image after the other."""
    out.mkdir()
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    palette = np.arange(768, dtype=np.uint8).tolist()
    for path in sorted(images.glob('*.jpg')):
        rgb = mmcv.imread(str(path), channel_order='rgb')
        tensor = torch.from_numpy(rgb).to(mean.device).permute(2, 0, 1).float()
        prob = tta_probabilities(
            model, ((tensor - mean) / std)[None], scales=args.scales, flip=args.flip
        )
        label = Image.fromarray(prob[0].argmax(0).to(torch.uint8).cpu().numpy())
        label.putpalette(palette)
        label.save(out / f'{path.stem}.png')


def labelling(
    model: nn.Module, images: Path, out: Path, args: argparse.Namespace
) -> None:
    """Label with the shared function."""
    dataset = UnlabeledDataset(
        data_prefix=dict(img_path=str(images)), pipeline=PIPELINE
    )
    manifest = dict(classes=[str(c) for c in range(args.classes)])
    generate_pseudo_labels(
        [model],
        dataset,
        PseudoLabelStore(out, manifest, []),
        preprocessor=model.data_preprocessor,
        scales=args.scales,
        flip=args.flip,
        batch_size=args.batch_size,
        num_workers=args.workers,
    )


def share_equal(one: Path, other: Path) -> float:
    """Return the share of equal pixels of two folders of labels."""
    pairs = [(path, other / path.name) for path in one.glob('*.png')]
    equal = [
        (np.array(Image.open(a)) == np.array(Image.open(b))).mean() for a, b in pairs
    ]
    return float(np.mean(equal))


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmsemi')
    model = build(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / 'images'
        images.mkdir()
        draw_images(images, args)
        ways: dict[str, Callable[..., None]] = dict(plain=plain_loop, ours=labelling)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for repeat in range(args.repeats):
            for way, label in ways.items():
                start = time.perf_counter()
                label(model, images, folder / f'{way}{repeat}', args)
                times[way].append(time.perf_counter() - start)
        equal = share_equal(folder / 'plain0', folder / 'ours0')
    rates = {way: args.images / min(found) for way, found in times.items()}
    print(
        f'{args.images} images of {args.size[0]}x{args.size[1]}, scales {args.scales}, '
        f'flip {args.flip}, {args.threads} compute threads, {args.workers} workers, '
        f'batches of {args.batch_size or "the default size"}'
    )
    print(f'plain loop {rates["plain"]:>10.2f} images/s')
    print(f'labelling  {rates["ours"]:>10.2f} images/s')
    print(f'ratio      {rates["ours"] / rates["plain"]:>10.2f}')
    print(f'pixels with the same label {100 * equal:.4f} %')


if __name__ == '__main__':
    main()
