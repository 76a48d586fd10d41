"""BST's recipe on a small ToyVOC: killed at every kind of moment, and resumed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmsemi.datasets.toy import generate_toyvoc, write_toyvoc_split

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / 'configs/bst/bst_deeplabv3plus_r18w32-d16_1xb8-demo_toyvoc-96x96.py'
TRAIN, LABELED, STEPS = 24, 6, 4
RELIABLE = (TRAIN - LABELED) // 2

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    """Make a data set and take the masks of its unlabelled images away."""
    root = tmp_path_factory.mktemp('toy') / 'toyvoc'
    generate_toyvoc(root, TRAIN, 2)
    split = write_toyvoc_split(root, LABELED, seed=0)
    for name in (split / 'unlabeled.txt').read_text().split():
        (root / 'SegmentationClass' / f'{name}.png').unlink()
    return root


@pytest.fixture
def run(toy, fork_train) -> Callable:
    def train(work: Path, *words: str, **options) -> list[int]:
        dataset, numbers = 'train_dataloader.dataset', 'sampler.num_per_source'
        changes = [
            f'{dataset}.data_root={toy}',
            f'{dataset}.split=splits/seed0/{LABELED}',
            f'val_dataloader.dataset.data_root={toy}',
            f'test_dataloader.dataset.data_root={toy}',
            f'train_cfg.max_iters={STEPS}',
            f'stages.supervised.train_dataloader.{numbers}.labeled=4',
            f'stages.retrain_reliable.train_dataloader.{numbers}.labeled=2',
            f'stages.retrain_reliable.train_dataloader.{numbers}.reliable=2',
            f'stages.retrain.train_dataloader.{numbers}.labeled=2',
            f'stages.retrain.train_dataloader.{numbers}.reliable=1',
            f'stages.retrain.train_dataloader.{numbers}.unreliable=1',
            'default_hooks.checkpoint.interval=2',
            # the warm-up is longer than these stages
            'param_scheduler.0.end=2',
            'param_scheduler.1.begin=2',
            # a moment between two images, for the kill
            'default_hooks.reliability.batch_size=1',
            'default_hooks.pseudo_labels.batch_size=1',
        ]
        argv = [RECIPE, '--work-dir', work, *words, '--cfg-options', *changes]
        return fork_train(*argv, **options)

    return train


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> dict:
    """Keep what the run left alone has made, for all kills."""
    return dict(folder=tmp_path_factory.mktemp('whole') / 'work')


def made(work: Path) -> dict[str, bytes]:
    """Return the lists, scores and labels, by their path."""
    files = [p for suffix in ('txt', 'png', 'json') for p in work.rglob(f'*.{suffix}')]
    return {
        str(path.relative_to(work)): path.read_bytes()
        for path in files
        if path.name in ('reliable.txt', 'unreliable.txt', 'scores.json')
        or path.parent.name == 'pseudo_labels'
    }


def check_whole_files(work: Path, toy: Path) -> None:
    """Read every label and list that can be seen: none is cut off."""
    for path in work.rglob('pseudo_labels/*.png'):
        with (
            Image.open(path) as label,
            Image.open(toy / f'JPEGImages/{path.stem}.jpg') as image,
        ):
            assert np.asarray(label).shape == np.asarray(image).shape[:2], path
    for name in ('reliable', 'unreliable'):
        for path in work.rglob(f'{name}.txt'):
            text = path.read_text()
            assert text.endswith('\n') and len(text.split()) == RELIABLE, path


def count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


MOMENTS = {
    'a step of stage 1': lambda work: count(work, 'supervised/iter_2.pth'),
    'the ranking': lambda work: count(work, 'supervised/reliability/iter_4.pth'),
    'the labels of stage 1': lambda work: (
        count(work, 'supervised/pseudo_labels/*.png') >= RELIABLE // 2
    ),
    'a step of stage 2': lambda work: count(work, 'retrain_reliable/iter_2.pth'),
    'the labels of stage 2': lambda work: (
        count(work, 'retrain_reliable/pseudo_labels/*.png') >= RELIABLE // 2
    ),
    'a step of stage 3': lambda work: count(work, 'retrain/iter_2.pth'),
}


LABELLED = list(MOMENTS)[2:]


@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_and_resumed(run, whole, toy, tmp_path, assert_equal, moment):
    alone = whole['folder']
    if not alone.exists():
        assert run(alone) == [0]
    work = tmp_path / 'work'
    assert run(work, kill_when=lambda: MOMENTS[moment](work)) == [-9]
    check_whole_files(work, toy)
    assert not (work / 'retrain/done.json').exists()
    # a label that is there is not written again
    times = {path: path.stat().st_mtime_ns for path in work.rglob('*/*.png')}
    assert bool(times) == (moment in LABELLED)
    assert run(work, '--resume') == [0]
    check_whole_files(work, toy)
    after, expected = made(work), made(alone)
    assert after.keys() == expected.keys()
    for name, content in expected.items():
        assert after[name] == content, name
    labels = [name for name in after if name.endswith('.png')]
    assert len(labels) == TRAIN - LABELED
    assert times == {path: path.stat().st_mtime_ns for path in times}
    last = [
        torch.load(
            f / f'retrain/iter_{STEPS}.pth', map_location='cpu', weights_only=False
        )
        for f in (work, alone)
    ]
    assert_equal(last[0]['state_dict'], last[1]['state_dict'])


def test_learns_from_what_the_stages_before_it_wrote(run, whole, toy):
    alone = whole['folder']
    if not alone.exists():
        assert run(alone) == [0]
    lists = [
        (alone / 'supervised' / f'{name}.txt').read_text().split()
        for name in ('reliable', 'unreliable')
    ]
    everything = (toy / f'splits/seed0/{LABELED}/unlabeled.txt').read_text().split()
    assert sorted(lists[0] + lists[1]) == sorted(everything)
    for stage, names in zip(('supervised', 'retrain_reliable'), lists, strict=True):
        folder = alone / stage / 'pseudo_labels'
        assert {path.stem for path in folder.glob('*.png')} == set(names)
