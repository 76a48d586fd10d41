"""A tiny network, and images of two sizes for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.models import SegDataPreProcessor
from PIL import Image
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset
from mmsemi.datasets.atomic import replacing


class TinyNet(nn.Module):
    """A network of one convolution that says each of three classes somewhere."""

    num_classes = 3
    align_corners = False

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 3, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.conv(x)


@pytest.fixture
def tiny_net() -> Callable[[int], TinyNet]:
    """Return ``build(seed)``, a small network in eval mode."""
    return lambda seed=0: TinyNet(seed).eval()


@pytest.fixture
def preprocessor() -> nn.Module:
    """Return mmseg's preprocessor of images; it swaps no channels."""
    return SegDataPreProcessor(mean=[120.0] * 3, std=[60.0] * 3)


@pytest.fixture
def mixed_images(tmp_path: Path) -> Callable[..., UnlabeledDataset]:
    """Return ``build(names, **changes)``: images a … g, of two sizes in turn.

    ``images/<set>/<name>.png``, (12, 16) for a, c, d, f, g and (10, 14) for b, e.
    """
    folder = tmp_path / 'mixed'
    rng = np.random.default_rng(3)
    for name in 'abcdefg':
        size = (10, 14) if name in 'be' else (12, 16)
        path = folder / 'images' / ('x' if name < 'd' else 'y') / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)

    def build(names: str = 'abcdefg', **changes) -> UnlabeledDataset:
        lines = [f'{"x" if name < "d" else "y"}/{name}' for name in names]
        # in one piece: two processes may build it at once
        with replacing(folder / f'{names}.txt') as aside:
            aside.write_text('\n'.join(lines))
        cfg = dict(
            ann_file=f'{names}.txt',
            data_root=str(folder),
            data_prefix=dict(img_path='images'),
            img_suffix='.png',
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
        )
        with DefaultScope.overwrite_default_scope('mmsemi'):
            return UnlabeledDataset(**cfg | changes)

    return build


@pytest.fixture
def tiny_list(tiny_images, default_scope) -> Callable[[str], UnlabeledDataset]:
    """Return ``build(name)``, the images of one of the three lists."""

    def build(name: str) -> UnlabeledDataset:
        return UnlabeledDataset(
            data_root=str(tiny_images),
            ann_file=f'{name}.txt',
            data_prefix=dict(img_path='images'),
        )

    return build
