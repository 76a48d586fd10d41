"""``tools/train.py`` from the command line to the weights, and what it adapts."""

import gc
import runpy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmsemi.engine.runner import launch
from mmsemi.models import MeanTeacher
from mmsemi.recipes.config import enable_amp, set_work_dir
from mmsemi.registry import MODELS

TOOL = Path(__file__).parents[2] / 'tools/train.py'


@pytest.fixture
def run():
    """Return the tool's ``main``."""
    return runpy.run_path(str(TOOL))['main']


@pytest.fixture
def config(tiny_dataloader, tiny_segmentor, tmp_path) -> str:
    """Write the config of two steps of Mean Teacher."""
    cfg = Config(
        dict(
            default_scope='mmsemi',
            model=dict(type='MeanTeacher', segmentor=tiny_segmentor),
            train_dataloader=tiny_dataloader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
            ),
            default_hooks=dict(
                checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=1)
            ),
            custom_hooks=[
                dict(type='ExactResumeHook'),
                dict(type='SetIterHook'),
                dict(type='MeanTeacherHook'),
            ],
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=0),
        )
    )
    path = tmp_path / 'tiny.py'
    cfg.dump(path)
    return str(path)


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / f'iter_{step}.pth', weights_only=False)['state_dict']


def test_train_and_resume(run, config, tmp_path):
    """All of a run, and the same from its first step's checkpoint."""
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    run([config, '--work-dir', str(whole)])
    first = str(whole / 'iter_1.pth')
    run([config, '--work-dir', str(cut), '--resume', first])
    assert not (cut / 'iter_1.pth').exists()
    expected, found = weights(whole, 2), weights(cut, 2)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_cfg_options_and_amp(run, config, tmp_path):
    run(
        [
            config,
            '--amp',
            '--work-dir',
            str(tmp_path / 'w'),
            '--cfg-options',
            'train_cfg.max_iters=1',
        ]
    )
    assert [p.name for p in (tmp_path / 'w').glob('iter_*')] == ['iter_1.pth']
    assert all(v.isfinite().all() for v in weights(tmp_path / 'w', 1).values())


def test_resume_from_another_model(run, config, tmp_path):
    other = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'student.weight': torch.ones(1)}), other)
    options = ['--work-dir', str(tmp_path / 'w'), '--resume', str(other)]
    with pytest.raises(ValueError, match=r'other.pth is of another model'):
        run([config, *options])
    with pytest.raises(FileNotFoundError, match=r'gone.pth does not exist'):
        run([config, *options[:-1], str(tmp_path / 'gone.pth')])


def test_start_from_a_part(run, config, tmp_path, monkeypatch):
    """A checkpoint that fits in part is loaded, and the rest is named."""
    run([config, '--work-dir', str(tmp_path / 'w')])
    path = tmp_path / 'w/iter_2.pth'
    saved = torch.load(path, weights_only=False)
    key = 'student.decode_head.conv_seg.weight'
    saved['state_dict'][key] = saved['state_dict'][key][:2]
    torch.save(saved, tmp_path / 'part.pth')
    model = MODELS.build(Config.fromfile(config).model)
    said: list[str] = []
    monkeypatch.setattr(launch, 'print_log', lambda text, **_: said.append(text))
    launch.check_checkpoint(str(path), model, whole=False)
    assert not said
    launch.check_checkpoint(str(tmp_path / 'part.pth'), model, whole=False)
    assert f'1 of {len(model.state_dict())} tensors do not fit' in said[0]
    assert f'the first is {key}' in said[0]
    with pytest.raises(ValueError, match=r'part\.pth is of another model'):
        launch.check_checkpoint(str(tmp_path / 'part.pth'), model, whole=True)


def test_workers_that_shall_stay_but_are_none(run, config, tmp_path):
    options = ['--cfg-options', 'train_dataloader.persistent_workers=True']
    with pytest.raises(ValueError, match=r'set train_dataloader\.persistent_workers=F'):
        run([config, '--work-dir', str(tmp_path / 'w'), *options])


@pytest.fixture
def recipe(config, tmp_path) -> str:
    """Write a recipe of two stages; the second starts from the first."""
    path = tmp_path / 'recipe.py'
    path.write_text(
        "_base_ = './tiny.py'\n"
        "stages = dict(one=dict(), two=dict(load_from='{one.last}'))\n"
    )
    return str(path)


def methods_alive() -> set[int]:
    return {id(thing) for thing in gc.get_objects() if type(thing) is MeanTeacher}


def test_recipe(run, recipe, tmp_path, capsys):
    """Train, refuse to train again, and find that all is done."""
    work = tmp_path / 'w'
    words = [recipe, '--work-dir', str(work)]
    run([*words, '--dry-run'])
    plan = capsys.readouterr().out
    assert 'recipe.py: 2 stages in ' in plan
    assert '1. one: 2 iterations, to do\n' in plan
    assert 'reads one: load_from={one.last}' in plan
    assert not work.exists()
    options = ['--amp', '--cfg-options', 'train_cfg.max_iters=1']
    # what other tests have left
    known = methods_alive()
    run([*words, *options])
    # a stage does not hold the memory that the next one needs
    assert methods_alive() <= known
    first, second = (weights(work / name, 1) for name in ('one', 'two'))
    key = 'student.decode_head.conv_seg.weight'
    assert not torch.equal(first[key], second[key])
    with pytest.raises(FileExistsError, match=r'one \(done \(1 iter.*add --resume'):
        run([*words, *options])
    with pytest.raises(ValueError, match=r"'one' is done with another config: optim"):
        run([*words, '--resume'])
    run([*words, '--resume', *options, '--dry-run'])
    assert '2. two: 1 iterations, done (1 iterations)' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'environment', 'command'),
    [
        (['r.py', '--amp'], {}, 'python tools/train.py r.py --amp --resume'),
        (['r.py', '--resume'], {}, 'python tools/train.py r.py --resume'),
        (
            ['r.py', '--launcher', 'pytorch', '--work-dir', 'a b'],
            {'LOCAL_WORLD_SIZE': '4'},
            "tools/dist_train.sh r.py 4 --work-dir 'a b' --resume",
        ),
    ],
)
def test_command_to_go_on(words, environment, command, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(TOOL.parents[1])
    tool = runpy.run_path(str(TOOL))
    assert tool['command_to_go_on'](words, tool['parse_args'](words)) == command


def test_plain_config(run, config, tmp_path, capsys):
    """Plan, train, refuse to train again, find that it is done, go on from a path."""
    work = tmp_path / 'w'
    words = [config, '--work-dir', str(work)]
    run([*words, '--dry-run'])
    plan = capsys.readouterr().out
    assert 'tiny.py: 1 stage in ' in plan and '1. train: 2 iterations, to do' in plan
    assert not work.exists()
    run(words)
    assert {'done.json', 'started.json', 'recipe.lock'} <= {
        path.name for path in work.iterdir()
    }
    written = (work / 'iter_2.pth').stat().st_mtime_ns
    with pytest.raises(FileExistsError, match=r'a training \(done \(2 iter.*add --r'):
        run(words)
    run([*words, '--resume'])
    options = '--cfg-options', 'optim_wrapper.optimizer.lr=0.5'
    with pytest.raises(ValueError, match=r'optim_wrapper.optimizer.lr was 0.01, is'):
        run([*words, '--resume', *options])
    assert (work / 'iter_2.pth').stat().st_mtime_ns == written
    run([*words, '--resume', str(work / 'iter_1.pth'), *options])
    assert (work / 'iter_2.pth').stat().st_mtime_ns > written
    run([*words, '--resume', *options, '--dry-run'])
    assert '1. train: 2 iterations, done (2 iterations)' in capsys.readouterr().out


def test_config_that_says_resume(run, config, tmp_path):
    """As mmengine's: ``resume = True`` needs no ``--resume``."""
    child = tmp_path / 'child.py'
    child.write_text("_base_ = './tiny.py'\nresume = True\n")
    words = [str(child), '--work-dir', str(tmp_path / 'w')]
    run(words)
    (tmp_path / 'w/done.json').unlink()
    (tmp_path / 'w/last_checkpoint').write_text(str(tmp_path / 'w/iter_1.pth'))
    (tmp_path / 'w/iter_2.pth').unlink()
    run(words)
    assert (tmp_path / 'w/iter_2.pth').is_file()
    run(words)


def test_recipe_takes_no_path(run, recipe, tmp_path):
    with pytest.raises(ValueError, match=r'give --resume without a path'):
        run([recipe, '--resume', str(tmp_path / 'iter_1.pth')])


def test_work_dir():
    for given, own, expected in [
        ('a', 'b', 'a'),
        (None, 'b', 'b'),
        (None, None, 'work_dirs/tiny'),
    ]:
        cfg = Config(dict(work_dir=own) if own else {})
        set_work_dir(cfg, 'configs/tiny.py', given)
        assert cfg.work_dir == expected


def test_amp_of_another_wrapper():
    cfg = Config(dict(optim_wrapper=dict(type='LPLOptimWrapper')))
    with pytest.raises(ValueError, match=r"optim_wrapper.type is 'LPLOptimWrapper'"):
        enable_amp(cfg)


def adapted(monkeypatch, launcher: str, gpu: bool) -> tuple[Config, list]:
    cfg = Config(
        dict(
            launcher=launcher,
            model=dict(
                backbone=dict(norm_cfg=dict(type='SyncBN')),
                decode_head=[dict(norm_cfg=dict(type='SyncBN'))],
            ),
            optim_wrapper=dict(type='OptimWrapper', accumulative_counts=2),
        )
    )
    started: list = []
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(launch.dist, 'init_process_group', started.append)
    enable_amp(cfg)
    launch.adapt_to_machine(cfg)
    return cfg, started


@pytest.mark.parametrize(
    ('launcher', 'gpu', 'norm', 'backends', 'wrapper'),
    [
        ('none', False, 'SyncBN', [], 'mmsemi.CPUAmpOptimWrapper'),
        ('pytorch', False, 'BN', ['gloo'], 'mmsemi.CPUAmpOptimWrapper'),
        ('pytorch', True, 'SyncBN', [], 'AmpOptimWrapper'),
    ],
)
def test_adapt_to_machine(launcher, gpu, norm, backends, wrapper, monkeypatch):
    cfg, started = adapted(monkeypatch, launcher, gpu)
    assert cfg.model.backbone.norm_cfg.type == norm
    assert cfg.model.decode_head[0].norm_cfg.type == norm
    assert started == backends
    assert cfg.optim_wrapper.type == wrapper
    assert cfg.optim_wrapper.accumulative_counts == 2
    assert ('loss_scale' in cfg.optim_wrapper) == gpu
    wraps = cfg.get('model_wrapper_cfg') is not None
    assert wraps == (launcher != 'none')


def test_slurm_without_a_gpu(monkeypatch):
    with pytest.raises(ValueError, match='--launcher slurm needs GPUs'):
        adapted(monkeypatch, 'slurm', gpu=False)
