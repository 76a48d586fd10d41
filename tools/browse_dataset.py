"""Look at the batches that a config trains on: ``browse_dataset.py CONFIG``.

Each picture is one batch of the training dataloader, in the order of its sampler:
a row for each branch, as the network sees it (augmented and padded, colours
restored), and below it the labels where there are any. Padding is outlined in red.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmseg.structures import SegDataSample
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader

from mmsemi.recipes.read import load_stage
from mmsemi.registry import MODELS

TITLE, GAP, SHORTEST = 14, 4, 160


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='path of the config or recipe')
    parser.add_argument('--stage', help='of a recipe, by default its last')
    parser.add_argument('--work-dir', help='of a recipe that ran in another folder')
    parser.add_argument('--num', type=int, default=4, help='batches, default: 4')
    parser.add_argument('--out', type=Path, help='folder, default: work_dirs/browse')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(argv)


def find_preprocessor(model: dict) -> dict:
    """Return the preprocessor of the model, or of the segmentor inside it.

    Raises:
        ValueError: If there is none.
    """
    for part in (model, *model.values()):
        if isinstance(part, dict) and part.get('data_preprocessor'):
            own = part['data_preprocessor']
            return own.get('data_preprocessor', own)
    raise ValueError(
        f'the model {model.get("type")} of the config names no data_preprocessor: '
        "give its segmentor mmseg's SegDataPreProcessor"
    )


def build_loader(cfg: Config) -> DataLoader:
    """Build the training dataloader, without worker processes."""
    loader = cfg.train_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    seed = cfg.get('randomness', {}).get('seed')
    return Runner.build_dataloader(loader, seed=seed)


def restore_colours(images: torch.Tensor, own: torch.nn.Module) -> np.ndarray:
    """Undo the normalisation.

    Args:
        images: (N, 3, H, W) as the network sees them.
        own: The preprocessor of the segmentor.

    Returns:
        (N, H, W, 3) uint8 RGB.
    """
    if own._enable_normalize:
        images = images * own.std + own.mean
    images = images.round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    # mmcv loads BGR
    # the two distributions of mmseg call it differently
    old = getattr(own, 'channel_conversion', False)
    is_rgb = getattr(own, '_channel_conversion', old)
    return (images if is_rgb else images.flip(-1)).numpy()


def blend(image: np.ndarray, label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Lay the colours of the classes over an image; void stays as it is."""
    known = label < len(palette)
    mixed = image.copy()
    mixed[known] = (image[known] + palette[label[known]].astype(int)) // 2
    return mixed


def outline(image: np.ndarray, sample: SegDataSample) -> np.ndarray:
    """Draw the border between image and padding in red."""
    if 'valid' in sample:
        valid = sample.valid.data[0].numpy()
    else:
        valid = np.zeros(image.shape[:2], bool)
        height, width = sample.metainfo['img_shape'][:2]
        valid[:height, :width] = True
    outside = np.pad(~valid, 1)
    near = outside[:-2, 1:-1] | outside[2:, 1:-1]
    near |= outside[1:-1, :-2] | outside[1:-1, 2:]
    return np.where((valid & near)[..., None], np.uint8([255, 0, 0]), image)


def make_rows(
    batch: dict, preprocessor: torch.nn.Module, palette: np.ndarray
) -> list[list[tuple[str, np.ndarray]]]:
    """Return the rows of a picture, each of (title, (H, W, 3) uint8)."""
    if not isinstance(batch['inputs'], dict):
        batch = {key: dict(image=value) for key, value in batch.items()}
    rows = []
    data = preprocessor(batch, training=True)
    for branch, inputs in data['inputs'].items():
        samples = data['data_samples'][branch]
        images = restore_colours(inputs, preprocessor.data_preprocessor)
        names = [f'{branch}: {Path(sample.img_path).stem}' for sample in samples]
        views = [outline(*pair) for pair in zip(images, samples, strict=True)]
        rows.append(list(zip(names, views, strict=True)))
        labels = [
            (f'{branch} label', blend(view, sample.gt_sem_seg.data[0].numpy(), palette))
            for view, sample in zip(views, samples, strict=True)
            if 'gt_sem_seg' in sample
        ]
        if labels:
            rows.append(labels)
    return rows


def shorten(title: str, letters: int) -> str:
    """Cut the front of the file name, whose end tells more, off a long title."""
    if len(title) <= letters:
        return title
    branch, _, name = title.partition(': ')
    kept = max(letters - len(branch) - 4, 3)
    return f'{branch}: ..{name[-kept:]}' if name else title


def draw(rows: list[list[tuple[str, np.ndarray]]]) -> Image.Image:
    """Put the images of each row side by side, each under its title."""
    height, width = rows[0][0][1].shape[:2]
    zoom = max(1, -(-SHORTEST // min(height, width)))
    height, width = height * zoom, width * zoom
    columns = max(len(row) for row in rows)
    size = columns * (width + GAP), len(rows) * (height + TITLE + GAP)
    sheet = Image.new('RGB', size, 'white')
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        top = i * (height + TITLE + GAP)
        for j, (title, image) in enumerate(row):
            left = j * (width + GAP)
            pen.text((left, top), shorten(title, width // 7), fill='black')
            tile = Image.fromarray(image).resize((width, height), Image.NEAREST)
            sheet.paste(tile, (left, top + TITLE))
    return sheet


def main(argv: list[str] | None = None) -> None:
    """Write one picture for each of the first batches."""
    args = parse_args(argv)
    cfg = load_stage(args.config, args.cfg_options, args.stage, args.work_dir)
    init_default_scope(cfg.get('default_scope', 'mmsemi'))
    loader = build_loader(cfg)
    preprocessor = MODELS.build(
        dict(
            type='mmsemi.MultiBranchDataPreprocessor',
            data_preprocessor=find_preprocessor(cfg.model),
        )
    )
    palette = np.array(loader.dataset.metainfo['palette'], dtype=np.uint8)
    out = args.out or Path('work_dirs/browse') / Path(args.config).stem
    out.mkdir(parents=True, exist_ok=True)
    batches = islice(loader, args.num)
    for i, batch in enumerate(track_iter_progress((batches, args.num))):
        draw(make_rows(batch, preprocessor, palette)).save(out / f'batch_{i:04d}.png')
    print(f'\n{args.num} batches in {out}')


if __name__ == '__main__':
    main()
