"""A recipe of three stages whose trainings are written, not run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsemi.engine.runner.recipe import read_recipe
from mmsemi.engine.runner.stage import Stage

STAGES = [
    dict(name='first', config='toy.py'),
    dict(
        name='second',
        config='toy.py',
        cfg_options={
            'load_from': '{first.last}',
            'train_dataloader.dataset.ann_file': '{work_dir}/first/lists/reliable.txt',
        },
    ),
    dict(
        name='third',
        config='toy.py',
        cfg_options={'train_dataloader': dict(labels=['{first.best}', 'x{}.pth'])},
    ),
]


@pytest.fixture
def toy_config(tmp_path: Path) -> Path:
    """Write the config of a training of 9 iterations; nothing of it can be built."""
    (tmp_path / 'all.txt').write_text('a\n')
    cfg = Config(
        dict(
            default_scope='mmsemi',
            model=dict(type='Net', channels=8),
            train_dataloader=dict(
                num_workers=3,
                dataset=dict(data_root=str(tmp_path), ann_file='all.txt'),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=9),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(lr=0.1)),
            default_hooks=dict(
                checkpoint=dict(type='AtomicCheckpointHook', save_best='mIoU')
            ),
            visualizer=dict(type='SegLocalVisualizer', name='visualizer'),
        )
    )
    path = tmp_path / 'configs/toy.py'
    path.parent.mkdir()
    cfg.dump(path)
    return path


@pytest.fixture
def write_recipe(toy_config: Path) -> Callable[[list], Path]:
    """Return ``write(stages)``: the path of a recipe beside the config."""

    def write(stages: object = STAGES) -> Path:
        path = toy_config.with_name('recipe.py')
        path.write_text(f'stages = {stages!r}\n')
        return path

    return write


@pytest.fixture
def read(write_recipe: Callable, tmp_path: Path) -> Callable[..., list[Stage]]:
    """Return ``read(stages, **options)``: the stages of a recipe, in ``work``."""

    def read_stages(stages: object = STAGES, **more) -> list[Stage]:
        cfg = Config.fromfile(write_recipe(stages))
        return read_recipe(cfg, str(tmp_path / 'work'), **more)

    return read_stages
