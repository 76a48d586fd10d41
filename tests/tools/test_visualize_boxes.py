"""The panels show what each network says of an image with boxes."""

import importlib.util
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from PIL import Image

from mmsemi.datasets.boxes import read_voc_boxes
from mmsemi.datasets.toy import CLASSES, PALETTE, generate_toyvoc, write_toyvoc_split
from mmsemi.recipes.read import load_stage
from mmsemi.registry import MODELS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/analysis_tools/visualize_boxes.py'
spec = importlib.util.spec_from_file_location('visualize_boxes', SCRIPT)
visualize_boxes = importlib.util.module_from_spec(spec)
sys.modules['visualize_boxes'] = visualize_boxes
spec.loader.exec_module(visualize_boxes)
SIZE = 128


def find(row: str) -> str:
    (path,) = (ROOT / 'configs/selfcorrect').glob(f'{row}_*toyvoc-96x96.py')
    return str(path)


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('toy') / 'data/toyvoc'
    generate_toyvoc(root, 4, 1)
    write_toyvoc_split(root, 2, seed=0)
    return root


@pytest.fixture(autouse=True)
def beside_the_data(toy, monkeypatch) -> None:
    """Stand where the configs look for data/toyvoc."""
    monkeypatch.chdir(toy.parents[1])


SPLIT = {'train_dataloader.dataset.split': 'splits/seed0/2'}


def save(toy: Path, path: Path):
    """Write a checkpoint of sharp random networks and return the method."""
    cfg = load_stage(find('selfcorrect-linear'), SPLIT)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    for net in (model.primary, model.ancillary):
        net.decode_head.conv_seg.weight.data.normal_(0, 5)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model


def run(toy: Path, tmp_path: Path, row='selfcorrect-linear', *words: str) -> int:
    argv = [find(row), str(tmp_path / 'a.pth'), '--out', str(tmp_path / 'panels')]
    changes = [f'{key}={value}' for key, value in SPLIT.items()]
    argv += ['--num', '1', '--size', str(SIZE), *words, '--cfg-options', *changes]
    return visualize_boxes.main(argv)


def normalised(image: np.ndarray) -> torch.Tensor:
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    x = torch.from_numpy((image - np.array(mean)) / std).float()
    return x.permute(2, 0, 1)[None]


def as_tile(picture: np.ndarray) -> np.ndarray:
    """Enlarge a picture into a white square as the panel does."""
    height, width = picture.shape[:2]
    zoom = SIZE / max(height, width)
    h, w = round(height * zoom), round(width * zoom)
    tile = np.full((SIZE, SIZE, 3), 255, np.uint8)
    top, left = (SIZE - h) // 2, (SIZE - w) // 2
    scaled = cv2.resize(picture, (w, h), interpolation=cv2.INTER_NEAREST)
    tile[top : top + h, left : left + w] = scaled
    return tile


@pytest.mark.parametrize('done', [0.0, 1.0])
def test_panel(toy, tmp_path, default_scope, done):
    model = save(toy, tmp_path / 'a.pth')
    truth = toy / 'SegmentationClass'
    words = '--done', str(done), '--truth', str(truth)
    assert run(toy, tmp_path, 'selfcorrect-linear', *words) == 0
    name = (toy / 'splits/seed0/2/unlabeled.txt').read_text().split()[0]
    sheet = np.array(Image.open(tmp_path / f'panels/{name}.png'))
    step = SIZE + visualize_boxes.GAP
    tiles = [
        sheet[visualize_boxes.TITLE :, i * step : i * step + SIZE] for i in range(6)
    ]

    image = np.array(cv2.imread(str(toy / f'JPEGImages/{name}.jpg')))[..., ::-1]
    height, width = image.shape[:2]
    boxes, labels = read_voc_boxes(toy / f'Annotations/{name}.xml', CLASSES[1:])
    rect, maps = np.zeros((height, width), int), np.zeros((7, height, width))
    areas = [-(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    for i in np.argsort(areas, kind='stable'):
        x1, y1, x2, y2 = boxes[i].astype(int)
        rect[y1:y2, x1:x2] = labels[i]
        maps[labels[i], y1:y2, x1:x2] = 1
    maps[0] = rect == 0
    pad = -width % 16, -height % 16
    inputs = F.pad(normalised(image), (0, pad[0], 0, pad[1]))
    padded = F.pad(torch.from_numpy(maps).float(), (0, pad[0], 0, pad[1]))
    padded[0, height:], padded[0, :, width:] = 1, 1
    with torch.no_grad():
        primary = model.primary(inputs, mode='tensor')
        beside = torch.cat([inputs, padded[None]], 1)
        features = model.ancillary.extract_feat(beside)
        ancillary = model.ancillary.decode_head(features)
    one, other = (
        F.interpolate(s, inputs.shape[2:], mode='bilinear')[0, :, :height, :width]
        for s in (primary, ancillary)
    )
    heat = np.take_along_axis(other.softmax(0).numpy(), rect[None], 0)[0]
    heat = np.where(rect == 0, 0, heat)
    alpha = 30 * math.pow(0.5 / 30, done)
    mixed = (one.softmax(0).log() + alpha * other.softmax(0).log()) / (1 + alpha)
    palette = np.array(PALETTE, np.uint8)

    assert (tiles[0] == as_tile(image)).all()
    scale = SIZE / max(height, width)
    corner = boxes[-1][:2] * scale
    offset = (SIZE - round(width * scale)) // 2, (SIZE - round(height * scale)) // 2
    x, y = np.round(corner).astype(int) + offset
    # the last one drawn is on top
    assert (tiles[1][y, x] == palette[labels[-1]]).all()
    ramp = cv2.applyColorMap(
        (heat * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO
    )[..., ::-1]
    assert (tiles[2] == as_tile(ramp)).mean() > 0.99
    for tile, label in (
        (tiles[3], one.argmax(0).numpy()),
        (tiles[4], mixed.argmax(0).numpy()),
    ):
        assert (tile == as_tile(palette[label])).mean() > 0.99
    mask = np.array(Image.open(truth / f'{name}.png'))
    colours = np.where((mask == 255)[..., None], 214, palette[mask % 255])
    assert (tiles[5] == as_tile(colours.astype(np.uint8))).all()


def test_without_a_background_classes_count_from_0():
    prob = torch.rand(1, 3, 2, 2)
    rect = torch.tensor([[[0, 1], [3, 2]]])
    heat = visualize_boxes.box_probability(prob, rect, 0)[0]
    assert heat[0, 0] == 0 and heat[0, 1] == prob[0, 0, 0, 1]
    assert heat[1, 0] == prob[0, 2, 1, 0] and heat[1, 1] == prob[0, 1, 1, 1]


def test_messages(toy, tmp_path, default_scope, capsys):
    save(toy, tmp_path / 'a.pth')

    def fails(match: str, *args: str) -> None:
        assert run(toy, tmp_path, *args) == 1
        assert match in capsys.readouterr().err

    fails('has no ancillary model: give a recipe of mode', 'em-fixed_deeplabv3plus')
    fails('has no ancillary model: give a recipe of mode', 'selfcorrect-ancillary')
    fails('is of another model', 'selfcorrect-conv')
    words = 'selfcorrect-linear', '--truth', str(tmp_path)
    fails('--truth: there is no mask', *words)
    (tmp_path / 'a.pth').unlink()
    fails('a.pth', 'selfcorrect-linear')
    with pytest.raises(SystemExit):
        run(toy, tmp_path, 'selfcorrect-linear', '--done', '1.5')
    assert 'choose it from 0 to 1' in capsys.readouterr().err
