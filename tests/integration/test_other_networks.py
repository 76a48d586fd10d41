"""CamVid configs of SegFormer and of UPerNet on ConvNeXt: trained, exported, read."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.apis import inference_model, init_model
from PIL import Image

from mmsemi.registry import MODELS

ROOT = Path(__file__).parents[2]
STAGES = [8, 16, 32, 64]
SMALL = {
    'u2pl_segformer_mit-b0-d32': dict(
        embed_dims=8, num_layers=[1] * 4, num_heads=[1, 2, 4, 8]
    ),
    'u2pl_upernet_convnext-tiny-d32': dict(
        arch=dict(depths=[1] * 4, channels=STAGES), drop_path_rate=0.0
    ),
}
SMALL |= {name.replace('u2pl', 'unimatch'): small for name, small in SMALL.items()}


@pytest.fixture
def camvid(tmp_path) -> Path:
    """Write eight images of four of CamVid's classes, each of its own colour."""
    root, rng = tmp_path / 'camvid', np.random.default_rng(0)
    colors = rng.integers(0, 256, (4, 3))
    for part, names in (('train', 'abcdef'), ('val', 'gh')):
        for folder in ('images', 'annotations'):
            (root / folder / part).mkdir(parents=True)
        for name in names:
            mask = rng.integers(0, 4, (3, 4)).repeat(24, 0).repeat(24, 1)
            noise = rng.integers(-9, 10, (*mask.shape, 3))
            image = np.clip(colors[mask] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / f'images/{part}/{name}.jpg')
            Image.fromarray(mask.astype(np.uint8)).save(
                root / f'annotations/{part}/{name}.png'
            )
    lists = {'labeled': 'ab', 'unlabeled': 'cdef'}
    (root / 'splits/12').mkdir(parents=True)
    for file, names in lists.items():
        (root / f'splits/12/{file}.txt').write_text('\n'.join(names))
    (root / 'val.txt').write_text('g\nh')
    return root


def small_config(name: str, root: Path, steps: int) -> Config:
    """Return the config of a few steps of a small network on two and two crops."""
    folder = 'u2pl' if name.startswith('u2pl') else 'baselines'
    cfg = Config.fromfile(
        ROOT / f'configs/{folder}/{name}_1xb16-2500_camvid-12-160x160.py'
    )
    segmentor, loader = cfg.model.segmentor, cfg.train_dataloader
    segmentor.backbone.update(SMALL[name])
    segmentor.decode_head.update(in_channels=STAGES, channels=16)
    if 'auxiliary_head' in segmentor:
        segmentor.auxiliary_head.update(in_channels=32, channels=8)
    segmentor.data_preprocessor.size = (64, 64)
    loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    loader.sampler.num_per_source = dict(labeled=2, unlabeled=2)
    for part in (loader.dataset.labeled, loader.dataset.unlabeled):
        part.data_root = str(root)
        for step in part.pipeline:
            if step.type == 'RandomResize':
                step.scale = (96, 72)
            if step.type == 'RandomCrop':
                step.crop_size = (64, 64)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(root)
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    cfg.param_scheduler = []
    cfg.optim_wrapper.optimizer.lr = 2e-3 if 'convnext' in name else 5e-3
    cfg.default_hooks.logger.interval = 1
    # two runners of one process share the folder of a visualizer of one name
    cfg.visualizer.name = name
    if folder == 'u2pl':
        cfg.model.update(warmup_iters=2, bank_size=500, bank_size_first=500)
        cfg.custom_hooks[-1].start_iter = 2
    else:
        cfg.model.threshold = 0.5
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
def test_trains_and_leaves_for_mmseg(name, camvid, tmp_path):
    steps = 24
    cfg = small_config(name, camvid, steps)
    config, run = tmp_path / 'small.py', tmp_path / 'run'
    cfg.dump(config)
    main = runpy.run_path(str(ROOT / 'tools/train.py'))['main']
    main([str(config), '--work-dir', str(run)])
    (log,) = run.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line['sup.decode.loss_ce'] for line in lines if 'loss' in line]
    assert len(losses) == steps
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])

    export = runpy.run_path(str(ROOT / 'tools/export_student.py'))['main']
    checkpoint, out = run / f'iter_{steps}.pth', tmp_path / 'out'
    export([str(config), str(checkpoint), str(out), '--which', 'student'])
    assert 'mmsemi' not in (out / 'small_student.py').read_text()
    files = [str(out / f'small_student{end}') for end in ('.py', '.pth')]
    plain = init_model(*files, device='cpu')
    plain.load_state_dict(torch.load(files[1])['state_dict'], strict=True)
    with DefaultScope.overwrite_default_scope('mmsemi'):
        model = MODELS.build(cfg.model)
    saved = torch.load(checkpoint, weights_only=False)['state_dict']
    model.load_state_dict(saved)
    model.cfg = Config.fromfile(files[0])
    image = str(camvid / 'images/val/g.jpg')
    with model.predicting_on('student'):
        expected = inference_model(model.eval(), image).seg_logits.data
    torch.testing.assert_close(inference_model(plain, image).seg_logits.data, expected)
