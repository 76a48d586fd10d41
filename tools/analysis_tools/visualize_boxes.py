"""Look at the labels that self-correcting networks give to images with boxes.

    python tools/analysis_tools/visualize_boxes.py RECIPE CHECKPOINT --out panels

A picture for each of the first images of W: the image, its boxes, the ancillary model's
probability of the class of the smallest box around each pixel (black is 0, also where
there is no box), the primary model's label, the corrected label, and the truth, if
``--truth`` names a folder of masks.
"""

import argparse
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.utils import track_iter_progress
from mmseg.structures import SegDataSample
from PIL import Image, ImageDraw
from torch import Tensor

from mmsemi.datasets.label_maps import read_label_map
from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.engine.panels import GAP, colour_labels, row
from mmsemi.engine.runner.launch import check_checkpoint
from mmsemi.models import SelfCorrect
from mmsemi.models.utils.box_batches import stack_box_labels
from mmsemi.recipes.read import load_stage
from mmsemi.registry import DATASETS, MODELS

TITLE = 14
TITLES = 'image', 'boxes', 'ancillary', 'primary', 'corrected', 'truth'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='recipe with an ancillary model')
    parser.add_argument('checkpoint', help="of the recipe's last stage")
    parser.add_argument('--out', type=Path, required=True, help='folder')
    parser.add_argument('--num', type=int, default=8, help='images, default: 8')
    parser.add_argument('--size', type=int, default=256, help='pixels a side')
    parser.add_argument(
        '--done',
        type=float,
        default=1.0,
        help='share of the training, which says alpha; default: 1, its end',
    )
    parser.add_argument('--truth', type=Path, help='folder of masks')
    parser.add_argument('--truth-suffix', default='.png')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args(argv)
    if not 0 <= args.done <= 1:
        parser.error(f'--done {args.done}: choose it from 0 to 1')
    return args


def build_dataset(cfg: Config) -> torch.utils.data.Dataset:
    """Return the images of W, each whole with its boxes, at the size of the test.

    Raises:
        ValueError: The config has no images with boxes only.
    """
    data = cfg.train_dataloader.dataset
    weak = data.get('weak')
    if weak is None:
        raise ValueError(
            f'{cfg.filename} has no part `weak`, images with boxes only: give the '
            'recipe of a self-correcting network, not of an ancillary model'
        )
    test = cfg.test_dataloader.dataset.pipeline
    resize = [step for step in test if step.type == 'Resize']
    kinds = [step.type for step in weak.pipeline]
    weak.pipeline = [
        *weak.pipeline[: kinds.index('LoadBoxes') + 1],
        *resize,
        dict(type='PackSemiInputs'),
    ]
    parts = fill_parts(dict(weak=weak), data.get('split'), data.get('data_root'))
    return DATASETS.build(parts['weak'])


def build_model(cfg: Config, checkpoint: str, done: float) -> SelfCorrect:
    """Build the method with its weights, at a share of its training.

    Raises:
        ValueError: It has no ancillary model, or the checkpoint is another model's.
    """
    if cfg.model.type != 'SelfCorrect' or not cfg.model.get('ancillary'):
        raise ValueError(
            f'{cfg.filename}: {cfg.model.type} with mode={cfg.model.get("mode")!r} has '
            "no ancillary model: give a recipe of mode 'none', 'linear' or 'conv'"
        )
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    check_checkpoint(checkpoint, model, whole=True)
    load_checkpoint(model, checkpoint, map_location='cpu')
    steps = cfg.train_cfg.max_iters
    model.set_iter(round(done * steps), steps)
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()


@torch.no_grad()
def predict(model: SelfCorrect, sample: dict) -> dict[str, np.ndarray]:
    """Return the maps (H, W) of one image.

    Returns:
        ``heat``, probabilities, and the labels ``primary`` and ``corrected``.
    """
    data = model.data_preprocessor(pseudo_collate([sample]), False)
    inputs, samples = data['inputs'], data['data_samples']
    size, boxes = inputs.shape[2:], model.ancillary.num_box_classes
    scores = model.primary(inputs, mode='tensor')
    ancillary = model.upsample(model.ancillary(inputs, samples, mode='tensor'), size)
    valid = torch.ones(1, *size, dtype=torch.bool, device=inputs.device)
    rect_label = stack_box_labels(samples, boxes, valid)
    # without a background the first class with boxes is class 0
    first = model.num_classes - boxes
    maps = dict(
        heat=box_probability(ancillary.softmax(1), rect_label, first),
        primary=model.upsample(scores, size).argmax(1),
        corrected=model.correct(scores, inputs, samples).argmax(1),
    )
    height, width = samples[0].metainfo['img_shape'][:2]
    # without the preprocessor's padding
    return {name: m[0, :height, :width].cpu().numpy() for name, m in maps.items()}


def box_probability(prob: Tensor, rect_label: Tensor, first: int) -> Tensor:
    """Return the probability of the class of each pixel's box, 0 without a box.

    Args:
        prob: (N, C, H, W).
        rect_label: (N, H, W), from 1 for the first class with boxes; 0 is no box.
        first: Index of the first class with boxes, 0 or 1.

    Returns:
        (N, H, W).
    """
    index = (rect_label - 1 + first).clamp_min(0)
    return prob.gather(1, index[:, None])[:, 0].masked_fill(rect_label == 0, 0)


def paint_heat(share: np.ndarray) -> np.ndarray:
    """Paint numbers (H, W) from 0, black, to 1, yellow: (H, W, 3) uint8 RGB."""
    level = (share * 255).round().astype(np.uint8)
    return cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1]


def draw_boxes(
    image: np.ndarray, sample: SegDataSample, colours: np.ndarray, size: int
) -> np.ndarray:
    """Draw the boxes on an image that is enlarged to ``size``, so that lines are thin.

    Args:
        image: (H, W, 3) uint8.
        sample: With ``gt_instances``.
        colours: RGB of each class with boxes.
        size: Of the longer side.
    """
    height, width = image.shape[:2]
    zoom = size / max(height, width)
    picture = Image.fromarray(image).resize(
        (max(1, round(width * zoom)), max(1, round(height * zoom))), Image.NEAREST
    )
    pen = ImageDraw.Draw(picture)
    boxes = sample.gt_instances
    for box, label in zip(boxes.bboxes.tolist(), boxes.labels.tolist(), strict=True):
        x1, y1, x2, y2 = (round(end * zoom) for end in box)
        corners = x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)
        pen.rectangle(corners, outline=tuple(colours[label - 1].tolist()), width=2)
    return np.asarray(picture)


def draw_panel(pictures: list[np.ndarray], size: int) -> Image.Image:
    """Put pictures side by side, each under its title."""
    tiles = row(pictures, size)
    sheet = Image.new('RGB', (tiles.shape[1], size + TITLE), 'white')
    sheet.paste(Image.fromarray(tiles), (0, TITLE))
    pen = ImageDraw.Draw(sheet)
    for i, title in enumerate(TITLES[: len(pictures)]):
        pen.text((i * (size + GAP), 0), title, fill='black')
    return sheet


def find_truth(folder: Path, suffix: str, name: str) -> np.ndarray:
    """Read the mask of an image.

    Raises:
        FileNotFoundError: There is none.
    """
    path = folder / f'{name}{suffix}'
    if not path.is_file():
        raise FileNotFoundError(
            f'--truth: there is no mask {path}: correct the folder or --truth-suffix, '
            'or leave it out'
        )
    return read_label_map(path)


def run(args: argparse.Namespace) -> int:
    """Write the pictures and return their number."""
    cfg = load_stage(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmsemi'))
    model = build_model(cfg, args.checkpoint, args.done)
    dataset = build_dataset(cfg)
    labeled = DATASETS.get(cfg.train_dataloader.dataset.labeled.type)
    palette = np.array(labeled.METAINFO['palette'], dtype=np.uint8)
    colours = palette[model.num_classes - model.ancillary.num_box_classes :]
    args.out.mkdir(parents=True, exist_ok=True)
    number = min(args.num, len(dataset))
    for i in track_iter_progress(range(number)):
        sample = dataset[i]
        file = os.path.relpath(
            sample['data_samples'].img_path, dataset.data_prefix['img_path']
        )
        name = file.removesuffix(dataset.img_suffix)
        image = sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        found = predict(model, sample)
        pictures = [
            image,
            draw_boxes(image, sample['data_samples'], colours, args.size),
            paint_heat(found['heat']),
            *(colour_labels(found[key], palette) for key in ('primary', 'corrected')),
        ]
        if args.truth:
            truth = find_truth(args.truth, args.truth_suffix, name)
            pictures.append(colour_labels(truth, palette))
        path = args.out / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_panel(pictures, args.size).save(path)
    return number


def main(argv: list[str] | None = None) -> int:
    """Write the pictures; a bad input is one sentence and exit code 1."""
    args = parse_args(argv)
    try:
        number = run(args)
    except (OSError, ValueError) as error:
        print(f'visualize_boxes: {error}', file=sys.stderr)
        return 1
    print(f'\n{number} pictures in {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
