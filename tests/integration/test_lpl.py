"""LPL's recipe on a small ToyVOC without the masks of its weak images."""

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmsemi.datasets.toy import generate_toyvoc, write_toyvoc_split

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / 'configs/lpl/lpl_deeplabv3plus_r18w32-d16_1xb8-demo_toyvoc-96x96.py'
TRAIN, LABELED, STEPS = 14, 4, 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    """Make a data set and take the masks and XMLs of its weak images away."""
    root = tmp_path_factory.mktemp('toy') / 'data/toyvoc'
    generate_toyvoc(root, TRAIN, 2)
    split = write_toyvoc_split(root, LABELED, seed=0)
    for name in (split / 'unlabeled.txt').read_text().split():
        (root / 'SegmentationClass' / f'{name}.png').unlink()
        (root / 'Annotations' / f'{name}.xml').unlink()
    return root


@pytest.fixture(autouse=True)
def beside_the_data(toy, monkeypatch) -> None:
    """Stand where the configs look for data/toyvoc."""
    monkeypatch.chdir(toy.parents[1])


@pytest.fixture
def run(fork_train) -> Callable:
    """Return ``train(work, *words, **how)``: LPL's recipe in a fork."""

    def train(work: Path, *words: str, **how) -> list[int]:
        sources = 'train_dataloader.sampler.num_per_source'
        changes = [
            f'train_dataloader.dataset.split=splits/seed0/{LABELED}',
            f'train_cfg.max_iters={STEPS}',
            f'stages.lpl.{sources}.labeled=2',
            f'stages.lpl.{sources}.weak=2',
            f'stages.retrain.{sources}.labeled=2',
            f'stages.retrain.{sources}.pseudo=2',
            'param_scheduler.0.end=1',
            'param_scheduler.1.begin=1',
            'default_hooks.checkpoint.interval=2',
            # a moment between two images, for the kill
            'default_hooks.pseudo_labels.batch_size=1',
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


def labels(work: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in work.glob('lpl/pseudo_labels/*')}


def state(work: Path, stage: str) -> dict:
    path = work / stage / f'iter_{STEPS}.pth'
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


MOMENTS = {
    'a step of stage 1': lambda work: count(work, 'lpl/iter_2.pth'),
    'the labels': lambda work: (
        count(work, 'lpl/pseudo_labels/*.png') >= (TRAIN - LABELED) // 2
    ),
    'a step of stage 2': lambda work: count(work, 'retrain/iter_2.pth'),
}


@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_and_resumed(run, alone, tmp_path, assert_equal, moment):
    work = tmp_path / 'work'
    assert run(work, kill_when=lambda: MOMENTS[moment](work)) == [-9]
    assert not (work / 'retrain/done.json').exists()
    # a label that is there is whole, and is not written again
    times = {path: path.stat().st_mtime_ns for path in work.rglob('*/*.png')}
    assert bool(times) == (moment != 'a step of stage 1')
    for path in times:
        Image.open(path).load()
    assert run(work, '--resume') == [0]
    assert labels(work) == labels(alone) and len(labels(work)) == TRAIN - LABELED + 1
    assert times == {path: path.stat().st_mtime_ns for path in times}
    for stage in ('lpl', 'retrain'):
        assert_equal(state(work, stage), state(alone, stage))


def test_what_the_stages_made(alone, toy):
    """Labels within the tags; a running IoU that has moved; a plain segmentor."""
    first, second = state(alone, 'lpl'), state(alone, 'retrain')
    for name in ('true', 'predicted', 'hit'):
        assert first[f'running_iou.{name}'].sum() > 0
    assert {key.split('.')[0] for key in first} == {'hybrid', 'pseudo', 'running_iou'}
    assert {key.split('.')[0] for key in second} == {'backbone', 'decode_head'}
    manifest = json.loads((alone / 'lpl/pseudo_labels/manifest.json').read_text())
    assert manifest['networks'] == ['hybrid'] and manifest['finished']
    assert manifest['settings']['fuse'] == 'logits'
    tags = json.loads((toy / 'tags.json').read_text())
    restricted = 0
    for path in (alone / 'lpl/pseudo_labels').glob('*.png'):
        found = np.unique(np.array(Image.open(path)))
        names = {manifest['classes'][c] for c in found}
        assert names <= {'background', *tags[path.stem]}
        restricted += len(tags[path.stem]) < 6
    assert restricted


@pytest.mark.parametrize('network', ['hybrid', 'pseudo'])
@pytest.mark.parametrize('tta', [False, True])
def test_evaluation_with_and_without_tags(network, tta, alone, toy, tmp_path):
    """A network that says 'dotted ring' everywhere, where its tags let it."""
    saved = torch.load(alone / f'lpl/iter_{STEPS}.pth', weights_only=False)
    saved['state_dict'][f'{network}.decode_head.conv_seg.bias'][3] = 1e3
    torch.save(saved, tmp_path / 'rings.pth')
    main = runpy.run_path(str(ROOT / 'tools/test.py'))['main']
    tags = json.loads((toy / 'tags.json').read_text())
    for with_tags in (True, False):
        out = tmp_path / f'out_{with_tags}'
        words = [RECIPE, tmp_path / 'rings.pth', '--stage', 'lpl', '--out', out]
        words += ['--predict-on', network, '--work-dir', tmp_path / 'test']
        words += ['--tta'] if tta else []
        option = f'stages.lpl.method.predict_with_tags={with_tags}'
        words += ['--cfg-options', option]
        main([str(word) for word in words])
        found = {p.stem: np.unique(np.array(Image.open(p))) for p in out.glob('*.png')}
        assert len(found) == 2
        for name, classes in found.items():
            ring = 'dotted ring' in tags[name] or not with_tags
            assert (3 in classes) == ring and (len(classes) == 1 or not ring)


def test_dense_crf_of_stage_2(alone, tmp_path):
    """The option of the VOC recipes, on the last stage with --tta."""
    main = runpy.run_path(str(ROOT / 'tools/test.py'))['main']
    found = []
    released = dict(iterations=1, gauss=(3, 3), bilateral=(32, 13, 10))
    for crf in (None, dict(released, _delete_=True)):
        config, out = tmp_path / f'{len(found)}.py', tmp_path / f'out_{len(found)}'
        config.write_text(
            f'_base_ = {str(RECIPE)!r}\n'
            f'stages = dict(retrain=dict(tta_model=dict(crf={crf})))\n'
        )
        words = [config, alone / f'retrain/iter_{STEPS}.pth', '--tta', '--out', out]
        words += ['--work-dir', tmp_path / 'test']
        main([str(word) for word in words])
        found.append({p.name: np.array(Image.open(p)) for p in out.glob('*.png')})
    plain, sharp = found
    assert len(plain) == 2 and plain.keys() == sharp.keys()
    assert all(plain[name].shape == sharp[name].shape for name in plain)
    assert any((plain[name] != sharp[name]).any() for name in plain)


@pytest.fixture
def tag_file(toy) -> Iterator[Path]:
    """Return the file of tags, and restore it."""
    path = toy / 'tags.json'
    before = path.read_text()
    yield path
    path.write_text(before)


BAD = {
    'an unlabelled image that is not in the file': (
        'unlabeled',
        lambda tags, name: tags.pop(name),
        "no tags of the image '{name}', but of",
    ),
    'an unlabelled image without a tag': (
        'unlabeled',
        lambda tags, name: tags[name].clear(),
        "image '{name}', has no tag of a class",
    ),
    'a class that does not exist': (
        'unlabeled',
        lambda tags, name: tags[name].append('cube'),
        "image '{name}', has the tag 'cube', which is none of",
    ),
    'the file of another data set': (
        'unlabeled',
        lambda tags, name: (tags.clear(), tags.update(cat=['dotted disc'])),
        'it is the file of another data set',
    ),
    'a mask that contradicts the tags': (
        'labeled',
        lambda tags, name: tags.update(
            {name: [c for c in ('striped disc', 'dotted ring') if c not in tags[name]]}
        ),
        'which {tags}, image {name!r}, does not tag',
    ),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_tags_stop_the_recipe(kind, run, toy, tag_file, tmp_path):
    part, change, message = BAD[kind]
    names = (toy / f'splits/seed0/{LABELED}/{part}.txt').read_text().split()
    tags = json.loads(tag_file.read_text())
    change(tags, names[0])
    tag_file.write_text(json.dumps(tags))
    with pytest.raises(pytest.fail.Exception) as failed:
        run(tmp_path / 'work')
    text = ' '.join(str(failed.value).split())
    assert message.format(name=names[0], tags='data/toyvoc/tags.json') in text
    assert 'Stage 1 of 2, lpl' in text
    if part == 'unlabeled':
        # before the first step
        assert 'Iter(train)' not in (tmp_path / 'out_0.txt').read_text()
    assert not count(tmp_path / 'work', 'lpl/iter_*.pth')
