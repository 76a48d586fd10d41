"""The configs under test: one ``Leaf`` for each file outside ``_base_``."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config, ConfigDict

from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.engine.runner.multi_source_train_loop import MultiSourceTrainLoop
from mmsemi.recipes.read import read_stages
from mmsemi.recipes.stage import Stage

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)(_(?P<head>[a-z][a-z0-9-]+))?'
    r'_(?P<backbone>r\d+|mit-b0|convnext-tiny)(w\d+)?-d(?P<stride>\d+)'
    r'_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<iters>\d+k?|demo)'
    r'_(?P<data>[a-z0-9-]+?)-(?P<crop>\d+x\d+)'
)
# Trained in one go with a network that is neither U2PL's nor mmseg's own.
OWN_NETWORK = ('cps', 'cps-cutmix', 'fixmatch', 'unimatch')
# Images of the published lists, labelled or not.
TOTAL = {'voc12aug': 10582, 'cityscapes': 2975}


class Loader(list):
    """What the loop reads of a dataloader, with lists as long as the published ones."""

    def __init__(self, data: str, labeled: int, numbers: dict, processes: int) -> None:
        unlabeled = TOTAL[data] - labeled
        sizes = dict(labeled=labeled, unlabeled=unlabeled, pseudo=unlabeled)
        # ST++'s halves
        sizes |= dict(reliable=unlabeled // 2, unreliable=unlabeled - unlabeled // 2)
        sources = {name: range(size) for name, size in sizes.items()}
        self.dataset = SimpleNamespace(sources=sources)
        self.sampler = SimpleNamespace(
            num_per_source=numbers, world_size=processes, dataset=self.dataset
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

    @property
    def is_recipe(self) -> bool:
        """Whether the method has stages; without reading the file."""
        return self.is_self_training or self.path.name.startswith('lpl_')

    @property
    def is_self_training(self) -> bool:
        """Whether it is ST, ST++ or BST."""
        return self.path.name.startswith(('st_', 'stpp_', 'bst_'))

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages of a recipe, none of another config."""
        if not self.is_recipe:
            return []
        return read_stages(Config.fromfile(self.path), 'work')

    @cached_property
    def cfg(self) -> Config:
        """The config, of a recipe that of its last stage."""
        if self.stages:
            return self.stages[-1].config()
        return Config.fromfile(self.path)

    @property
    def length(self) -> int:
        """Steps of the training, see :meth:`length_of`."""
        return self.length_of(self.cfg)

    def length_of(self, cfg: Config) -> int:
        """Count the steps on the published lists and the GPUs of the name."""
        if cfg.train_cfg.get('max_iters') is not None:
            return cfg.train_cfg.max_iters
        data = self.name['data'].split('-')
        numbers = cfg.train_dataloader.sampler.num_per_source
        loader = Loader(data[0], int(data[-1]), numbers, int(self.name['gpus']))
        loop = cfg.train_cfg.to_dict()
        assert loop.pop('type') == 'MultiSourceTrainLoop'
        runner: Any = SimpleNamespace(param_schedulers=None)
        return MultiSourceTrainLoop(runner, loader, **loop).max_iters

    @property
    def released_head(self) -> str | None:
        """The head of ST++'s (or UniMatch's) released code that the name promises."""
        heads = {'deeplabv3plus': 'DeepLabV3PlusHead', 'pspnet': 'PSPHead'}
        return (
            heads[self.name['head']]
            if (self.is_recipe or self.name['method'] in OWN_NETWORK)
            and self.is_resnet50_or_more
            else None
        )

    @property
    def head_factor(self) -> int:
        """How many times the backbone's learning rate that of the head is."""
        name = self.name
        if name['method'].startswith('cps'):
            return 1
        recipe = self.is_self_training and self.released_head
        return 10 if recipe or 'voc12aug' in name['data'] else 1

    @property
    def fast_part(self) -> str:
        """The modules that :attr:`head_factor` is about."""
        return 'conv_seg.' if self.name['method'] == 'lpl' else 'decode_head.'

    @property
    def is_resnet50_or_more(self) -> bool:
        return self.name['backbone'] in ('r50', 'r101')

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
        parts = {name: part for name, part in dataset.items() if isinstance(part, dict)}
        filled = fill_parts(parts, dataset.get('split'), dataset.get('data_root'))
        filled = ConfigDict(filled)
        if 'every' in filled:
            # masks and labels in one part, drawn from alike
            return dict(zip(('labeled', 'pseudo'), filled.every.datasets, strict=True))
        return filled

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
    # test_selfcorrect_configs.py and test_avc_configs.py look at those
    if path.parent.name not in ('_base_', 'avc', 'selfcorrect')
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``leaf`` once for each, ``recipe`` for ST, ST++, BST."""
    for name in {'leaf', 'recipe'} & set(metafunc.fixturenames):
        chosen = [leaf for leaf in LEAVES if name == 'leaf' or leaf.is_self_training]
        metafunc.parametrize(name, chosen, ids=lambda leaf: leaf.path.stem)


@pytest.fixture(scope='session')
def leaves() -> list[Leaf]:
    return LEAVES
