"""The recipes of self-correcting networks on a small ToyVOC without masks of W."""

import json
import runpy
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.model import revert_sync_batchnorm

from mmsemi.datasets.splits import generate_split, read_split, write_splits
from mmsemi.datasets.toy import generate_toyvoc, write_toyvoc_split
from mmsemi.models.segmentors.semi_base import second_network
from mmsemi.recipes.read import load_stage
from mmsemi.registry import DATASETS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/selfcorrect'
TRAIN, LABELED, STEPS = 16, 6, 4
SPLIT = f'splits/seed0/{LABELED}'
ROWS = {
    'linear': ('ancillary', 'primary'),
    'conv': ('ancillary', 'correction', 'primary'),
    'none': ('ancillary', 'primary'),
    'em-fixed': ('primary',),
}
MOMENTS = [(row, stage) for row in ('linear', 'conv') for stage in ROWS[row]]


def make_toy(root: Path) -> Path:
    """Make a data set and take the masks of the images of W away."""
    generate_toyvoc(root, TRAIN, 2)
    split = write_toyvoc_split(root, LABELED, seed=0)
    for name in (split / 'unlabeled.txt').read_text().split():
        (root / 'SegmentationClass' / f'{name}.png').unlink()
        (root / 'SegmentationObject' / f'{name}.png').unlink()
    half, rest = generate_split(read_split(split / 'labeled.txt'), LABELED // 2, seed=0)
    lists = {'labeled.txt': half, 'unlabeled.txt': rest}
    write_splits({split / 'half' / name: ids for name, ids in lists.items()})
    return root


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    return make_toy(tmp_path_factory.mktemp('toy') / 'data/toyvoc')


def find_recipe(row: str) -> Path:
    name = row if row == 'em-fixed' else f'selfcorrect-{row}'
    (path,) = CONFIGS.glob(f'{name}_*toyvoc-96x96.py')
    return path


@pytest.fixture
def run(toy, fork_train, monkeypatch) -> Callable[..., list[int]]:
    # where the configs look for data/toyvoc
    monkeypatch.chdir(toy.parents[1])

    def train(row: str, work: Path, *words: str, **options) -> list[int]:
        # of a rank: the ASPP's pooling cannot normalise a single image
        n = 2
        changes = [
            f'train_dataloader.dataset.split={SPLIT}',
            f'train_cfg.max_iters={STEPS}',
            f'train_dataloader.sampler.num_per_source.labeled={n}',
            f'stages.primary.train_dataloader.sampler.num_per_source.weak={n}',
            'default_hooks.checkpoint.interval=2',
            'default_hooks.logger.interval=1',
            'param_scheduler.0.end=1',
            'param_scheduler.1.begin=1',
        ]
        argv = [find_recipe(row), '--work-dir', work, *words, '--cfg-options', *changes]
        return fork_train(*argv, **options)

    return train


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    """Keep what the runs left alone have made, for all kills."""
    return tmp_path_factory.mktemp('whole')


def last(folder: Path) -> dict:
    path = folder / f'iter_{STEPS}.pth'
    state = torch.load(path, map_location='cpu', weights_only=False)
    return {key: state[key] for key in ('state_dict', 'optimizer', 'param_schedulers')}


def losses(folder: Path) -> list[dict]:
    (scalars,) = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, scalars.open())
    return [line for line in lines if 'loss' in line]


@pytest.mark.slow
@pytest.mark.parametrize(('row', 'killed'), MOMENTS)
def test_killed_and_resumed(run, whole, tmp_path, assert_equal, row, killed):
    alone, work = whole / row, tmp_path / 'work'
    if not alone.exists():
        assert run(row, alone) == [0]
    saved = work / killed / 'iter_2.pth'
    assert run(row, work, kill_when=saved.exists) == [-9]
    done = [name for name in ROWS[row] if (work / name / 'done.json').exists()]
    assert done == list(ROWS[row][: ROWS[row].index(killed)])
    assert run(row, work, '--resume') == [0]
    for name in ROWS[row]:
        assert_equal(last(work / name), last(alone / name))


@pytest.mark.slow
@pytest.mark.parametrize('row', ROWS)
def test_no_mask_of_the_weak_images_is_needed(run, whole, row):
    """They are not there; and what each stage leaves is what the next one takes."""
    alone = whole / row
    if not alone.exists():
        assert run(row, alone) == [0]
    states = {name: last(alone / name)['state_dict'] for name in ROWS[row]}
    final = states['primary']
    if row == 'em-fixed':
        assert not any(key.startswith('ancillary.') for key in final)
        return
    ancillary = states['ancillary']
    for state in list(states.values())[1:]:
        kept = {k[10:]: v for k, v in state.items() if k.startswith('ancillary.')}
        assert kept.keys() == ancillary.keys()
        assert all(torch.equal(kept[key], ancillary[key]) for key in kept)
    weight = 'primary.decode_head.conv_seg.weight'
    names = ROWS[row][1:]
    assert all(weight in states[name] for name in names)
    assert any(key.startswith('correction.') for key in final) == (row == 'conv')


@pytest.mark.slow
def test_alpha_falls_over_the_training(run, whole):
    alone = whole / 'linear'
    if not alone.exists():
        assert run('linear', alone) == [0]
    found = [line['alpha'] for line in losses(alone / 'primary')]
    expected = [30 * (0.5 / 30) ** (i / STEPS) for i in range(STEPS)]
    assert found == pytest.approx(expected)
    assert not any('alpha' in line for line in losses(alone / 'ancillary'))


@pytest.mark.slow
@pytest.mark.parametrize('row', ['linear', 'conv', 'em-fixed'])
def test_primary_leaves_as_plain_mmseg(run, whole, tmp_path, default_scope, row):
    alone = whole / row
    if not alone.exists():
        assert run(row, alone) == [0]
    export = runpy.run_path(str(CONFIGS.parents[1] / 'tools/export_student.py'))['main']
    checkpoint = alone / f'primary/iter_{STEPS}.pth'
    export([str(find_recipe(row)), str(checkpoint), str(tmp_path)])
    (config,) = tmp_path.glob('*_primary.py')
    assert 'mmsemi' not in config.read_text()
    weights = torch.load(config.with_suffix('.pth'), weights_only=False)['state_dict']
    trained = last(alone / 'primary')['state_dict']
    assert {f'primary.{key}' for key in weights} == {
        key for key in trained if key.startswith('primary.')
    }
    assert all(torch.equal(w, trained[f'primary.{k}']) for k, w in weights.items())


@pytest.mark.slow
@pytest.mark.parametrize('row', ['linear', 'conv'])
def test_two_ranks(run, tmp_path, assert_equal, row):
    """They train as one, each on its share; a cut stage goes on."""
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'

    def train(work: Path, *words: str, **options) -> list[int]:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        return run(row, work, '--amp', *words, ranks=2, port=port, **options)

    assert train(whole) == [0, 0]
    saved = cut / 'primary/iter_2.pth'
    assert train(cut, kill_when=saved.exists) == [-9, -9]
    assert train(cut, '--resume') == [0, 0]
    for name in ROWS[row]:
        assert_equal(last(cut / name), last(whole / name))


# What the recipe's parts say to bad input, before the first step.


@pytest.fixture
def build_weak(tmp_path, default_scope, monkeypatch) -> Callable[..., None]:
    """Return ``build()``: the data of the last stage of the linear recipe."""
    root = make_toy(tmp_path / 'data/toyvoc')
    monkeypatch.chdir(tmp_path)

    def build(change: Callable[[str], str] | None = None) -> None:
        name = read_split(root / SPLIT / 'unlabeled.txt')[3]
        path = root / f'Annotations/{name}.xml'
        before = path.read_text()
        if change is not None:
            path.write_text(change(before))
        options = {'train_dataloader.dataset.split': SPLIT}
        cfg = load_stage(str(find_recipe('linear')), options)
        try:
            DATASETS.build(cfg.train_dataloader.dataset)
        finally:
            path.write_text(before)

    build.root = root
    return build


def without_objects(text: str) -> str:
    return text[: text.index('<object>')] + '</annotation>'


def with_end(end: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        head, _, rest = text.partition('<xmax>')
        return f'{head}<xmax>{end}{rest[rest.index("<") :]}'

    return change


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (without_objects, r'\.xml has no box: add the boxes of the image, or set'),
        (
            lambda text: text.replace('<name>', '<name>un', 1),
            r"\.xml has a box of the class 'un.*none of .*: correct the name",
        ),
        (with_end('0'), r'\.xml: the box .* has no area: correct or delete it'),
        (with_end('999'), r'\.xml has the box .* outside of its image .*: correct'),
        (lambda text: text[:-30], r'\.xml cannot be read .*: it is damaged'),
    ],
    ids=['no box', 'unknown class', 'degenerate', 'outside', 'cut off'],
)
def test_wrong_boxes(build_weak, change, match):
    build_weak()
    with pytest.raises(ValueError, match=match):
        build_weak(change)


def test_boxes_and_images_that_are_not_there(build_weak):
    root = build_weak.root
    names = read_split(root / SPLIT / 'unlabeled.txt')
    aside = root / f'Annotations/{names[0]}.xml'
    text = aside.read_text()
    aside.unlink()
    with pytest.raises(FileNotFoundError, match=r'no boxes at .*\.xml: correct path'):
        build_weak()
    aside.write_text(text)
    (root / f'JPEGImages/{names[1]}.jpg').unlink()
    message = rf'weak image .*{names[1]}\.jpg does not exist: correct the list'
    with pytest.raises(FileNotFoundError, match=message):
        build_weak()


def test_ancillary_checkpoint_of_other_classes(tmp_path, default_scope):
    def build(**head: int):
        torch.manual_seed(0)
        key = 'stages.primary.method.ancillary_checkpoint'
        options = {key: str(tmp_path / 'other.pth')}
        cfg = load_stage(str(find_recipe('linear')), options)
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        other = second_network(cfg.model.segmentor, cfg.model.ancillary)
        other.decode_head.update(head)
        return model, revert_sync_batchnorm(MODELS.build(other))

    model, other = build(num_classes=21, num_box_classes=20)
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    message = r'ancillary_checkpoint .*other\.pth is of another model: .*conv_seg'
    with pytest.raises(ValueError, match=message):
        model.init_weights()
    model, other = build()
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    model.init_weights()
