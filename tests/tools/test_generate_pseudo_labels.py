"""``tools/generate_pseudo_labels.py`` on a method, without training one."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from PIL import Image

from mmsemi.registry import MODELS

TOOLS = Path(__file__).parents[2] / 'tools'
CLASSES = ('sky', 'road', 'tree', 'car')


@pytest.fixture
def run():
    """Return the tool's ``main``."""
    return runpy.run_path(str(TOOLS / 'generate_pseudo_labels.py'))['main']


@pytest.fixture
def trained(tiny_images, tiny_segmentor, tmp_path) -> list[str]:
    """Write a config and a checkpoint: the student says road, the teacher tree."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(24, 20), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmsemi',
            model=dict(type='MeanTeacher', segmentor=tiny_segmentor),
            test_dataloader=dict(
                dataset=dict(
                    type='BaseSegDataset',
                    metainfo=dict(classes=CLASSES, palette=[[9, 9, 9]] * 4),
                    pipeline=pipeline,
                )
            ),
        )
    )
    config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'iter_3.pth'
    cfg.dump(config)
    init_default_scope('mmsemi')
    model = MODELS.build(ConfigDict(cfg.model))
    for answer, network in enumerate(model.networks().values(), start=1):
        network.decode_head.conv_seg.bias.data[answer] = 20.0
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    return [str(config), str(checkpoint)]


@pytest.fixture
def options(tiny_images, tmp_path) -> list[str]:
    """Return the options that every call needs."""
    words = dict(img_dir=tiny_images / 'images', list=tiny_images / 'unlabeled.txt')
    words['out_dir'] = tmp_path / 'labels'
    words['workers'] = 0
    return [w for k, v in words.items() for w in (f'--{k.replace("_", "-")}', str(v))]


def read(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.array(Image.open(path)) for path in folder.glob('*.png')}


@pytest.mark.parametrize(
    ('more', 'answer'),
    [
        ([], 2),
        (['--networks', 'student', '--scales', '0.5', '1', '--flip'], 1),
        (['--networks', 'student', 'teacher', '--weights', '3', '1'], 1),
        (['--networks', 'student', 'teacher', '--threshold', '0.9'], 255),
        (['--amp'], 2),
    ],
    ids=['default', 'student', 'fusion', 'threshold', 'amp'],
)
def test_labels(more, answer, run, trained, options, tmp_path, capsys):
    run([*trained, *options, *more])
    found = read(tmp_path / 'labels')
    assert found.keys() == set('cdef')
    for label in found.values():
        # the size of the file, not that of the test pipeline
        assert label.shape == (40, 48) and (label == answer).all()
    manifest = json.loads((tmp_path / 'labels/manifest.json').read_text())
    assert manifest['model'] == 'tiny.py' and manifest['finished']
    assert manifest['classes'] == list(CLASSES)
    pixels = 4 * 40 * 48
    assert sum(manifest['pixels'].values()) + manifest['void'] == pixels
    assert '4 images labelled' in capsys.readouterr().out
    assert 'Resize' in manifest['settings']['pipeline'][1]


def test_several_checkpoints_truth_and_probabilities(
    run, trained, options, tiny_images, tmp_path, capsys
):
    saved = torch.load(trained[1])
    for name in [k for k in saved['state_dict'] if k.endswith('conv_seg.bias')]:
        saved['state_dict'][name] = torch.tensor([40.0, 0, 0, 0])
    torch.save(saved, tmp_path / 'sky.pth')
    truth = ['--truth-dir', str(tiny_images / 'masks'), '--soft']
    run([*trained, str(tmp_path / 'sky.pth'), *options, *truth, '--weights', '1', '2'])
    prob = np.load(tmp_path / 'labels/soft/c.npz')['prob']
    expected = np.array([2 / 3, 0, 1 / 3, 0])[:, None, None]
    np.testing.assert_allclose(prob, np.broadcast_to(expected, (4, 40, 48)), atol=1e-3)
    masks = np.stack(
        [np.array(Image.open(tiny_images / f'masks/{n}.png')) for n in 'cdef']
    )
    share = 100 * (masks == 0).sum() / (masks != 255).sum() / 4
    assert f'mIoU with the truth {share:.2f}' in capsys.readouterr().out
    manifest = json.loads((tmp_path / 'labels/manifest.json').read_text())
    assert manifest['networks'] == ['teacher', 'teacher of 1']
    assert len(set(manifest['sha256'])) == 2


def test_run_again_and_overwrite(run, trained, options, tmp_path, capsys):
    run([*trained, *options])
    run([*trained, *options])
    assert '0 images labelled, 4 were there' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'flip False, now True\): choose an empty'):
        run([*trained, *options, '--flip'])
    run([*trained, *options, '--flip', '--overwrite'])
    assert read(tmp_path / 'labels').keys() == set('cdef')


def test_tags(run, trained, options, tmp_path):
    """The teacher says tree: where there is none, the next best tagged class."""
    tags = dict(c=['sky'], d=['tree', 'car'], e=['road'], f=['tree'])
    path = tmp_path / 'tags.json'
    path.write_text(json.dumps(tags))
    more = ['--tags', str(path), '--fuse', 'logits', '--flip']
    run([*trained, *options, *more])
    found = read(tmp_path / 'labels')
    answers = dict(c=0, d=2, e=1, f=2)
    assert {name: np.unique(m).tolist() for name, m in found.items()} == {
        name: [answer] for name, answer in answers.items()
    }
    with pytest.raises(ValueError, match=r'fuse logits, now softmax\): choose an'):
        run([*trained, *options, *more[:2], '--flip'])
    path.write_text(json.dumps(tags | dict(e=['sky'])))
    with pytest.raises(ValueError, match=r'tags \w+, now \w+\): choose an empty'):
        run([*trained, *options, *more])
    # the file may be written anew, if it says the same
    path.write_text(json.dumps(tags, indent=2))
    run([*trained, *options, *more])


def test_whole_folder(run, trained, tiny_images, tmp_path):
    out = ['--out-dir', str(tmp_path / 'labels'), '--workers', '0']
    run([*trained, '--img-dir', str(tiny_images / 'images'), *out])
    assert read(tmp_path / 'labels').keys() == set('abcdef')


@pytest.mark.parametrize(
    ('more', 'error', 'message'),
    [
        (['--out-dir', 'masks'], ValueError, 'masks holds 6 files not written by this'),
        (['--list', 'none.txt'], FileNotFoundError, 'none.txt does not exist'),
        (['--networks', 'ema'], ValueError, r"\['student', 'teacher'\]"),
        (['--img-suffix', '.png'], FileNotFoundError, 'c.png does not exist'),
    ],
)
def test_bad_options(more, error, message, run, trained, options, tiny_images):
    more = [str(tiny_images / w) if w in ('masks', 'none.txt') else w for w in more]
    with pytest.raises(error, match=message):
        run([*trained, *options, *more])


def test_checkpoint_of_another_model(run, trained, options, tmp_path):
    torch.save(dict(state_dict={'student.x': torch.ones(1)}), trained[1])
    with pytest.raises(ValueError, match='is of another model'):
        run([*trained, *options])


def test_script_takes_several_checkpoints(tmp_path):
    stub = tmp_path / 'python'
    stub.write_text('#!/bin/bash\necho python "$@"\n')
    stub.chmod(0o755)
    script = str(TOOLS / 'dist_generate_pseudo_labels.sh')

    def dry(*words):
        environment = dict(PATH=f'{tmp_path}:{os.environ["PATH"]}')
        return subprocess.run(
            ['bash', script, *words], env=environment, capture_output=True, text=True
        )

    out = dry('c.py', 'a.pth', 'b.pth', '2', '--flip').stdout
    assert '--nproc_per_node 2 --standalone' in out
    end = 'generate_pseudo_labels.py c.py a.pth b.pth --launcher pytorch --flip\n'
    assert out.endswith(end)
    done = dry('c.py', '2')
    assert done.returncode == 2 and 'CHECKPOINT ...] PROCESSES' in done.stderr


@pytest.mark.slow
def test_two_processes_write_the_files_of_one(run, trained, options, tmp_path):
    run([*trained, *options, '--batch-size', '1', '--flip'])
    one = {p.name: p.read_bytes() for p in (tmp_path / 'labels').iterdir()}
    script = str(TOOLS / 'dist_generate_pseudo_labels.sh')
    words = [
        *options,
        '--batch-size',
        '1',
        '--flip',
        '--out-dir',
        str(tmp_path / 'two'),
    ]
    environment = os.environ | dict(PYTHON=sys.executable, OMP_NUM_THREADS='1')
    done = subprocess.run(
        [script, *trained, '2', *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {p.name: p.read_bytes() for p in (tmp_path / 'two').iterdir()} == one
