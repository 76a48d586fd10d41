import importlib.util
import json
import re
from pathlib import Path

import pytest

from mmsemi.engine.runner.multi_source_train_loop import resolve_schedules
from mmsemi.models.utils.lengths import steps
from mmsemi.report.curves import read_scalars

SCRIPT = Path(__file__).parents[2] / 'tools' / 'demo.py'
spec = importlib.util.spec_from_file_location('demo', SCRIPT)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)


def test_settings_are_in_the_work_dir_name():
    settings, work_dir = demo.parse_args(['--seed', '3', '--labels', '8', '--amp'])
    assert (settings.seed, settings.labels, settings.amp) == (3, 8, True)
    iters = settings.iters
    assert work_dir == Path(f'work_dirs/demo/seed3_labels8_iters{iters}_amp')


def test_both_configs_differ_in_the_method_only(tmp_path):
    settings = demo.Settings(seed=5, iters=400, data_root=str(tmp_path))
    split = tmp_path / 'splits'
    plain, semi = (
        demo.make_config(path, settings, split) for path in demo.CONFIGS.values()
    )
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'crop_size'):
        assert plain[key] == semi[key], key
    assert plain.model == semi.model.segmentor
    # the end of the schedule is that of the training
    assert 'end' not in plain.param_scheduler[1]
    assert plain.train_cfg.max_iters == 400
    assert plain.randomness == semi.randomness == dict(seed=5)
    parts = [cfg.train_dataloader.dataset.labeled for cfg in (plain, semi)]
    assert parts[0].ann_file == parts[1].ann_file == str(split / 'labeled.txt')
    hooks = {hook['type']: hook for hook in semi.custom_hooks}
    assert 'start_iter' not in hooks['MeanTeacherHook']
    assert ('SemiVisualizationHook' in hooks) and len(plain.custom_hooks) == 1


@pytest.mark.parametrize(
    ('iters', 'warm', 'alone', 'interval', 'drawn'),
    [(1000, 30, 400, 200, 250), (400, 12, 160, 80, 100), (4, 2, 2, 1, 1)],
)
def test_the_proportions_stay(tmp_path, iters, warm, alone, interval, drawn):
    settings = demo.Settings(iters=iters, data_root=str(tmp_path))
    cfg = demo.make_config(demo.CONFIGS['U2PL'], settings, tmp_path / 'splits')
    linear, poly = resolve_schedules(cfg.param_scheduler, iters)
    assert (linear['begin'], linear['end'], poly['begin']) == (0, warm, warm)
    assert steps(cfg.model.warmup_iters, iters) == alone
    assert steps(cfg.train_cfg.val_interval, iters) == interval
    assert steps(cfg.default_hooks.checkpoint.interval, iters) == interval
    assert steps(cfg.custom_hooks[-1]['interval'], iters) == drawn
    assert cfg.default_hooks.logger.interval == min(20, iters // 4)


def test_the_training_part_of_the_shipped_configs_has_one_length():
    iters = demo.Settings().iters
    for path in demo.CONFIGS.values():
        cfg = demo.load_config(str(path))
        assert cfg.train_cfg.max_iters == iters
        assert 'end' not in cfg.param_scheduler[1]


def test_another_demo_in_the_work_dir(tmp_path):
    demo.check_settings(demo.Settings(seed=1), tmp_path)
    demo.check_settings(demo.Settings(seed=1), tmp_path)
    with pytest.raises(ValueError, match='give another --work-dir'):
        demo.check_settings(demo.Settings(seed=2), tmp_path)


def test_mistakes_end_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match=r'^error: .*exists and is no complete ToyVOC'):
        demo.main(['--data-root', 'file', '--work-dir', 'out'])


@pytest.mark.slow
def test_whole_demo_and_once_more(tmp_path, capsys):
    settings = demo.Settings(
        labels=4,
        iters=4,
        data_root=str(tmp_path / 'toy'),
        num_train=12,
        num_val=6,
    )
    scores = demo.run(settings, tmp_path / 'out')
    printed = capsys.readouterr().out
    html = (tmp_path / 'out' / 'report.html').read_text('utf-8')
    result = json.loads((tmp_path / 'out' / 'result.json').read_text())
    assert result == scores
    assert set(scores) == {'supervised only', 'U2PL student', 'U2PL teacher'}
    for name, score in scores.items():
        assert f'{score:.1f}' in html
        assert re.search(f'{name} +{score:.1f} mIoU', printed)
    assert str(tmp_path / 'out' / 'report.html') in printed
    logged = read_scalars(tmp_path / 'out' / 'U2PL')['teacher/mIoU'][-1][1]
    assert logged == pytest.approx(scores['U2PL teacher'], abs=0.01)
    # 6 rows of validation images, 6 of unlabelled ones, 4 of one of them over time
    assert html.count('data:image/png;base64,') == 16

    # all is done: the same numbers at once
    assert demo.run(settings, tmp_path / 'out') == scores
    assert len(list((tmp_path / 'out' / 'U2PL').glob('iter_*.pth'))) == 1


def test_a_training_that_fails_shows_its_log(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text("print('no such thing')\nraise SystemExit(3)\n")
    with pytest.raises(
        RuntimeError, match=r'(?s)training broken failed.*no such thing'
    ):
        demo.train_side_by_side(script, [tmp_path / 'broken.py'])


def test_too_few_steps(tmp_path):
    with pytest.raises(SystemExit, match='iters is 1: give 4 or more'):
        demo.main(['--iters', '1', '--work-dir', str(tmp_path)])
