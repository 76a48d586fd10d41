"""A recipe of three stages whose trainings are written, not run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsemi.recipes.config import load_config
from mmsemi.recipes.read import read_stages
from mmsemi.recipes.stage import Stage

STAGES = dict(
    first=dict(),
    second=dict(
        load_from='{first.last}',
        train_dataloader=dict(
            dataset=dict(ann_file='{work_dir}/first/lists/reliable.txt')
        ),
    ),
    third=dict(model=dict(init_cfg=dict(checkpoint=['{first.best}', 'x{}.pth']))),
)


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
def read_text(toy_config: Path, tmp_path: Path) -> Callable[..., list[Stage]]:
    """Return ``read_text(text, **more)``: the stages of a child of the config."""

    def read(text: str, name: str = 'recipe.py', **more) -> list[Stage]:
        path = toy_config.with_name(name)
        path.write_text(text if '_base_' in text else f"_base_ = './toy.py'\n{text}")
        return read_stages(load_config(str(path)), str(tmp_path / 'work'), **more)

    return read


@pytest.fixture
def read(read_text: Callable) -> Callable[..., list[Stage]]:
    """Return ``read(stages, **more)``: the stages of a recipe, in ``work``."""

    def read_recipe(stages: object = STAGES, **more) -> list[Stage]:
        return read_text(f'stages = {stages!r}\n', **more)

    return read_recipe


@pytest.fixture
def read_plain(read_text: Callable) -> Callable[..., Stage]:
    """Return ``read_plain(text, **more)``: the only training of a plain config."""

    def read(text: str = '', **more) -> Stage:
        (stage,) = read_text(text, 'plain.py', **more)
        return stage

    return read
