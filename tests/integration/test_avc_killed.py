"""AVC's recipe, killed in each of its stages and resumed, and in two processes."""

import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmsemi.datasets.toy import generate_toyvoc

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / 'configs/avc/avc_largefov_r38w16-d8_1xb8-demo_toyvoc-96x96.py'
TRAIN, STEPS = 14, 4
STAGES = 'classify', 'affinity', 'segment'

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    """Make a data set without masks and boxes of its training images."""
    root = tmp_path_factory.mktemp('toy') / 'data/toyvoc'
    generate_toyvoc(root, TRAIN, 2)
    for path in [*root.glob('Segmentation*/train*'), *root.glob('Annotations/train*')]:
        path.unlink()
    return root


@pytest.fixture
def run(toy, fork_train, monkeypatch) -> Callable:
    """Return ``train(work, *words, **how)``: the recipe in forks of this process."""
    monkeypatch.chdir(toy.parents[1])

    def train(work: Path, *words: str, batch: int = 8, **how) -> list[int]:
        parts = dict(classify='tagged', affinity='sure', segment='pseudo')
        changes = [
            'model.backbone.width=0.05',
            'stages.classify.model.head.in_channels=205',
            'stages.affinity.model.head.in_channels=[26,51,205]',
            'stages.segment.model.decode_head.in_channels=205',
            f'train_cfg.max_iters={STEPS}',
            *(
                f'stages.{stage}.train_dataloader.sampler.num_per_source.{part}={batch}'
                for stage, part in parts.items()
            ),
            'param_scheduler.0.end=1',
            'param_scheduler.1.begin=1',
            'default_hooks.checkpoint.interval=2',
            'default_hooks.cams.scales=[1.0]',
            'default_hooks.cams.num_workers=0',
            'default_hooks.affinity_labels.num_workers=0',
            'default_hooks.pseudo_labels.num_workers=0',
        ]
        argv = [RECIPE, '--work-dir', work, *words, '--cfg-options', *changes]
        return fork_train(*argv, **how)

    return train


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    """Keep what the run left alone has made, for all kills."""
    return tmp_path_factory.mktemp('whole') / 'work'


@pytest.fixture
def alone(whole, run) -> Path:
    if not whole.exists():
        assert run(whole) == [0]
    return whole


def written(work: Path) -> dict[str, bytes]:
    """Return the seeds and labels of all stages."""
    folders = 'classify/cams', 'classify/affinity_labels', 'affinity/pseudo_labels'
    return {
        f'{folder}/{path.name}': path.read_bytes()
        for folder in folders
        for path in (work / folder).glob('train*')
    }


def state(work: Path, stage: str) -> dict:
    path = work / stage / f'iter_{STEPS}.pth'
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def half_of(pattern: str) -> Callable[[Path], bool]:
    return lambda work: sum(1 for _ in work.glob(pattern)) >= TRAIN // 2


def reached(path: str) -> Callable[[Path], bool]:
    return lambda work: (work / path).exists()


MOMENTS = {
    'a step of the classifier': reached('classify/iter_2.pth'),
    'the seeds': half_of('classify/cams/train*'),
    'the sure labels': half_of('classify/affinity_labels/train*'),
    'a step of AffinityNet': reached('affinity/iter_2.pth'),
    'the walk': half_of('affinity/pseudo_labels/train*'),
    'a step of the segmentor': reached('segment/iter_2.pth'),
}


@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_and_resumed(run, alone, tmp_path, assert_equal, moment):
    work = tmp_path / 'work'
    assert run(work, kill_when=lambda: MOMENTS[moment](work)) == [-9]
    assert not (work / 'segment/done.json').exists()
    # what is there is whole
    for path in work.rglob('train*.png'):
        Image.open(path).load()
    for path in work.rglob('train*.npz'):
        assert np.load(path)['cam'].ndim == 3
    before = written(work)
    assert run(work, '--resume') == [0]
    again = written(work)
    assert before.items() <= again.items() and again == written(alone)
    assert len(again) == 3 * TRAIN
    for stage in STAGES:
        assert_equal(state(work, stage), state(alone, stage))


def test_two_ranks(run, tmp_path):
    """They share the images of every list: each is there, once."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    work = tmp_path / 'work'
    assert run(work, batch=4, ranks=2, port=port) == [0, 0]
    assert len(written(work)) == 3 * TRAIN
    assert all((work / stage / 'done.json').exists() for stage in STAGES)
