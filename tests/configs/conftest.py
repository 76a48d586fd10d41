"""The configs under test: one ``Leaf`` for each file outside ``_base_``."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)(_(?P<head>[a-z][a-z0-9-]+))?'
    r'_(?P<backbone>r\d+)(w\d+)?-d(?P<stride>\d+)'
    r'_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<iters>\d+k?|demo)'
    r'_(?P<data>[a-z0-9-]+?)-(?P<crop>\d+x\d+)'
)


class Leaf:
    """A config and what its name says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def name(self) -> dict[str, str]:
        match = NAME.fullmatch(self.path.stem)
        assert match, f'{self.path.name}: not METHOD[_HEAD]_BACKBONE_GxbB-N_DATA-HxW'
        return match.groupdict()

    @cached_property
    def cfg(self) -> Config:
        return Config.fromfile(self.path)

    @property
    def own_decoder(self) -> bool:
        """Whether the name promises U2PL's decoder."""
        return (self.name['head'] or self.name['method']).startswith('u2pl')

    @property
    def segmentor(self) -> dict:
        return self.cfg.model.get('segmentor', self.cfg.model)

    @property
    def heads(self) -> list[dict]:
        names = ('decode_head', 'auxiliary_head')
        return [self.segmentor[name] for name in names if name in self.segmentor]

    @property
    def sources(self) -> dict[str, dict]:
        dataset = self.cfg.train_dataloader.dataset
        return {name: part for name, part in dataset.items() if isinstance(part, dict)}

    @staticmethod
    def steps(pipelines: Any) -> list[dict]:
        """Return the transforms of pipelines, those of branches too."""
        return [step for step in walk(pipelines) if 'type' in step]


def walk(node: Any) -> Iterator[dict]:
    """Yield every dict in a config."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from walk(child)


LEAVES = [
    Leaf(path)
    for path in sorted(CONFIGS.glob('*/*.py'))
    if path.parent.name != '_base_'
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``leaf`` once for each of them."""
    if 'leaf' in metafunc.fixturenames:
        metafunc.parametrize('leaf', LEAVES, ids=lambda leaf: leaf.path.stem)


@pytest.fixture(scope='session')
def leaves() -> list[Leaf]:
    return LEAVES
