"""Configs that inherit from ``mmsemi::…``: a training, and its export to mmseg."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmsemi.datasets.toy import generate_toyvoc, write_toyvoc_split

ROOT = Path(__file__).resolve().parents[2]
NET = """
norm_cfg = dict(type='BN', requires_grad=True)
segmentor = dict(
    backbone=dict(stem_channels=8, base_channels=8, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=64, channels=8, c1_in_channels=8, c1_channels=8, norm_cfg=norm_cfg
    ),
)
default_hooks = dict(checkpoint=dict(interval=2))
param_scheduler = [dict(type='PolyLR', by_epoch=False, begin=0)]
"""
PLAIN = """
train_cfg = dict(max_iters=2, val_interval=2)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
part = dict(data_root=data_root)
labeled = dict(ann_file='splits/seed0/4/labeled.txt', **part)
unlabeled = dict(ann_file='splits/seed0/4/unlabeled.txt', **part)
"""
SUPERVISED = """
model = segmentor
sampler = dict(num_per_source=dict(labeled=4))
train_dataloader = dict(batch_size=4, sampler=sampler, dataset=dict(labeled=labeled))
"""
U2PL = """
model = dict(segmentor=segmentor, warmup_iters=0, rep_channels=8)
train_dataloader = dict(
    batch_size=4,
    sampler=dict(num_per_source=dict(labeled=2, unlabeled=2)),
    dataset=dict(labeled=labeled, unlabeled=unlabeled),
)
"""
LEAVES = dict(
    supervised='baselines/supervised_deeplabv3plus_r18w32-d16_1xb8-demo_toyvoc-96x96',
    u2pl='u2pl/u2pl_deeplabv3plus_r18w32-d16_1xb16-demo_toyvoc-96x96',
    st='baselines/st_deeplabv3plus_r18w32-d16_1xb8-demo_toyvoc-96x96',
)
ST = """
model = segmentor
train_cfg = dict(max_iters=2, val_interval=2)
train_dataloader = dict(dataset=dict(data_root=data_root, split='splits/seed0/4'))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
first, last = dict(labeled=4), dict(labeled=2, pseudo=2)
stages = dict(
    supervised=dict(train_dataloader=dict(sampler=dict(num_per_source=first))),
    retrain=dict(train_dataloader=dict(sampler=dict(num_per_source=last))),
)
"""
# a process in which mmsemi cannot be imported
WITHOUT_MMSEMI = """
import json, sys
sys.modules['mmsemi'] = None
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer
name, image = sys.argv[1:]
label = MMSegInferencer(name + '.py', name + '.pth', device='cpu')(image)['predictions']
cfg = Config.fromfile(name + '.py')
cfg.load_from, cfg.work_dir = name + '.pth', name
metrics = Runner.from_cfg(cfg).test()
assert not [name for name in sys.modules if name.startswith('mmsemi.')]
print(json.dumps(dict(miou=float(metrics['mIoU']), label=label.tolist())))
"""


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'toyvoc'
    generate_toyvoc(root, num_train=8, num_val=2)
    write_toyvoc_split(root, 4, seed=0)
    return root


@pytest.fixture
def train_and_export(toy, fork_train, tmp_path) -> Callable[..., tuple[Path, float]]:
    """Return a function that trains two steps and exports the network.

    It returns the exported files' path without suffix, and mIoU as validated.
    """

    def run(leaf: str, text: str, which: str, stage: str = '') -> tuple[Path, float]:
        path, work = tmp_path / 'user/mine.py', tmp_path / 'run'
        path.parent.mkdir()
        base = f"_base_ = 'mmsemi::{LEAVES[leaf]}.py'\ndata_root = {str(toy)!r}\n"
        path.write_text(base + NET + text)
        assert "_scope_='mmsemi'" in Config.fromfile(path).pretty_text
        assert fork_train(path, '--work-dir', work) == [0]
        work = work / stage
        (scalars,) = work.glob('*/vis_data/scalars.json')
        metrics = [json.loads(line) for line in scalars.open()][-1]
        main = runpy.run_path(str(ROOT / 'tools/export_student.py'))['main']
        checkpoint, out = work / 'iter_2.pth', tmp_path / 'out'
        main([str(path), str(checkpoint), str(out), '--which', which])
        name = f'{which}/mIoU' if which == 'teacher' else 'mIoU'
        return out / f'mine_{which}', metrics[name]

    return run


def check_alone(files: Path, miou: float, image: Path) -> None:
    """Let mmseg predict and test in a process without mmsemi."""
    text = files.with_suffix('.py').read_text()
    assert 'mmsemi' not in text and '_scope_' not in text
    command = [sys.executable, '-c', WITHOUT_MMSEMI, str(files), str(image)]
    done = subprocess.run(
        command, env=os.environ, cwd=files.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found['miou'] == pytest.approx(miou, abs=1e-6)
    label = np.array(found['label'])
    assert label.ndim == 2 and set(np.unique(label)) <= set(range(7))


@pytest.mark.parametrize(
    ('method', 'which', 'scope'),
    [
        ('u2pl', 'teacher', ''),
        pytest.param('supervised', 'student', '', marks=pytest.mark.slow),
        # types of ours resolve by their mark alone
        pytest.param(
            'u2pl', 'teacher', "default_scope = 'mmseg'\n", marks=pytest.mark.slow
        ),
    ],
)
def test_plain_config(train_and_export, toy, method, which, scope):
    text = PLAIN + (SUPERVISED if method == 'supervised' else U2PL) + scope
    files, miou = train_and_export(method, text, which)
    check_alone(files, miou, toy / 'JPEGImages/val_00000.jpg')


@pytest.mark.slow
def test_recipe(train_and_export, toy):
    files, miou = train_and_export('st', ST, 'student', 'retrain')
    check_alone(files, miou, toy / 'JPEGImages/val_00000.jpg')
