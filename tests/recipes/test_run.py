"""The order of the stages, what each gets, and what a failure says."""

from pathlib import Path

import pytest
from filelock import FileLock

from mmsemi.recipes import run
from mmsemi.recipes.run import from_rank_0, plan, run_stages
from mmsemi.recipes.state import read_state


@pytest.fixture
def trainings(monkeypatch) -> list:
    """Put a note in the place of each training; return the configs it got."""
    started: list = []

    def train(cfg):
        started.append(cfg)
        if cfg.model.get('fails'):
            raise FileNotFoundError('images are gone')
        folder = Path(cfg.work_dir)
        (folder / 'lists').mkdir(parents=True, exist_ok=True)
        (folder / 'lists/reliable.txt').write_text('a\n')
        for name in ('iter_9.pth', 'best_mIoU_iter_6.pth'):
            (folder / name).write_text('weights')
        (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
        return 9

    monkeypatch.setattr(run, 'train', train)
    return started


def test_each_stage_in_its_folder(read, trainings, tmp_path):
    work = tmp_path / 'work'
    run_stages(read(), again='…')
    first, second, third = trainings
    assert [Path(cfg.work_dir) for cfg in trainings] == [
        work / name for name in ('first', 'second', 'third')
    ]
    assert 'load_from' not in first
    assert second.load_from == f'{work}/first/iter_9.pth'
    assert second.train_dataloader.dataset.ann_file == (
        f'{work}/first/lists/reliable.txt'
    )
    best = f'{work}/first/best_mIoU_iter_6.pth'
    assert third.model.init_cfg.checkpoint == [best, 'x{}.pth']
    assert not any(cfg.get('resume') for cfg in trainings)
    # two Runners share what has one name
    for names in (
        [cfg.experiment_name for cfg in trainings],
        [cfg.visualizer.name for cfg in trainings],
    ):
        assert len(set(names)) == 3


def test_one_run_at_a_time(read, trainings, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    with FileLock(work / 'recipe.lock'):
        with pytest.raises(BlockingIOError, match=f'{work} is in use by another run'):
            run_stages(read(), again='…')
    assert not trainings
    run_stages(read(), again='…')
    with FileLock(work / 'recipe.lock', timeout=0):
        assert len(trainings) == 3


def test_failure_and_resume(read, trainings):
    options = {'stages.second.model.fails': True}
    with pytest.raises(RuntimeError) as caught:
        run_stages(read(options=options), again='python train.py r.py --resume')
    text = str(caught.value)
    assert 'Stage 2 of 3, second' in text
    assert 'failed: FileNotFoundError: images are gone' in text
    assert 'Stages done: first. ' in text
    assert text.endswith('go on with:\n  python train.py r.py --resume')
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert len(trainings) == 2
    run_stages(read(), resume=True, again='…')
    assert [Path(cfg.work_dir).name for cfg in trainings[2:]] == ['second', 'third']
    assert not trainings[2].get('resume')
    run_stages(read(), resume=True, again='…')
    assert len(trainings) == 4


def test_stage_that_was_cut_goes_on(read, trainings):
    first, *_ = stages = read()
    first.folder.mkdir(parents=True)
    (first.folder / 'iter_3.pth').write_text('weights')
    (first.folder / 'last_checkpoint').write_text('iter_3.pth')
    with pytest.raises(FileExistsError, match=r'first \(cut at iteration 3\)'):
        run_stages(stages, again='…')
    assert not trainings
    run_stages(stages, resume=True, again='…')
    assert trainings[0].resume
    assert trainings[0].load_from == str(first.folder / 'iter_3.pth')
    assert trainings[1].load_from == str(first.folder / 'iter_9.pth')


def test_later_stage_does_not_fit_the_machine(read, trainings):
    options = {
        'stages.third.train_dataloader.num_workers': 0,
        'stages.third.train_dataloader.persistent_workers': True,
    }
    with pytest.raises(ValueError, match=r"stage 'third': train_dataloader has num"):
        run_stages(read(options=options), again='…')
    assert not trainings


def test_plan(read, trainings, tmp_path):
    loop = dict(
        _delete_=True, type='MultiSourceTrainLoop', max_epochs=4, epoch_of='weak'
    )
    stages = read(options={'stages.third.train_cfg': loop})
    run_stages(stages[:1], again='…')
    first, *lines = plan(stages).splitlines()
    assert first.endswith(f'configs/recipe.py: 3 stages in {tmp_path / "work"}')
    assert lines[0] == '1. first: 9 iterations, done (9 iterations)'
    assert lines[1] == '2. second: 9 iterations, to do'
    assert sorted(lines[2:4]) == [
        '     reads first: load_from={first.last}',
        '     reads first: train_dataloader.dataset.ann_file={work_dir}/first/lists/'
        'reliable.txt',
    ]
    assert lines[4] == "3. third: 4 epochs of 'weak', to do"
    assert lines[5] == '     reads first: model.init_cfg.checkpoint.0={first.best}'
    changed = read(options={'stages.first.model.channels': 4})
    said = 'done with another config: model.channels was 8, is 4'
    assert f'1. first: 9 iterations, {said}' in plan(changed)


def test_plan_of_a_plain_config(read_plain, trainings, tmp_path):
    stage = read_plain()
    first, *lines = plan([stage]).splitlines()
    assert first.endswith(f'configs/plain.py: 1 stage in {tmp_path / "work"}')
    assert lines == ['1. train: 9 iterations, to do']
    assert not (tmp_path / 'work').exists()
    run_stages([stage], again='…')
    assert plan([stage]).endswith('1. train: 9 iterations, done (9 iterations)')


def test_plan_of_what_cannot_train(read, read_plain):
    options = {'train_cfg.max_iters': 0}
    with pytest.raises(ValueError, match=r"stage 'first': train_cfg.max_iters = 0: gi"):
        plan(read(options=options))
    with pytest.raises(ValueError, match=r'plain.py: train_cfg.max_iters = 0: giv'):
        plan([read_plain(options=options)])


def test_plain_config(read_plain, trainings, tmp_path):
    """One training in the work dir itself, which is started, cut and resumed."""
    stage, work = read_plain(), tmp_path / 'work'
    run_stages([stage], again='…')
    (cfg,) = trainings
    assert cfg.work_dir == str(work)
    # what mmengine names it
    assert 'experiment_name' not in cfg and cfg.visualizer.name == 'visualizer'
    notes = {name: (work / f'{name}.json').read_text() for name in ('started', 'done')}
    assert '"format": 2' in notes['started'] and '"format": 2' in notes['done']
    with pytest.raises(FileExistsError, match=r'a training \(done .*: add --resume to'):
        run_stages([read_plain()], again='…')
    run_stages([read_plain()], resume=True, again='…')
    assert len(trainings) == 1
    other = read_plain(options={'optim_wrapper.optimizer.lr': 0.2})
    with pytest.raises(ValueError, match=r'optim_wrapper.optimizer.lr was 0.1, is 0.2'):
        run_stages([other], resume=True, again='…')
    # cut
    (work / 'done.json').unlink()
    with pytest.raises(FileExistsError, match=r'a training \(cut at iteration 9\): a'):
        run_stages([read_plain()], again='…')
    with pytest.raises(ValueError, match=r'is cut, and started with another config: o'):
        run_stages([other], resume=True, again='…')
    run_stages([read_plain()], resume=True, again='…')
    assert trainings[1].resume
    assert trainings[1].load_from == str(work / 'iter_9.pth')
    assert (work / 'done.json').read_text() == notes['done']


def test_plain_config_that_fails(read_plain, trainings, tmp_path):
    """Its error is that of the training, and nothing is done."""
    stage = read_plain(options={'model.fails': True})
    with pytest.raises(FileNotFoundError, match=r'^images are gone$'):
        run_stages([stage], again='…')
    assert not (tmp_path / 'work/done.json').exists()


def test_plain_config_goes_on_from_a_path(read_plain, trainings, tmp_path):
    """Whatever its folder holds, also a training that is done, which it replaces."""
    work, path = tmp_path / 'work', str(tmp_path / 'iter_5.pth')
    run_stages([read_plain()], again='…')
    options = {'model.channels': 4}
    failing = read_plain(options=options | {'model.fails': True})
    with pytest.raises(FileNotFoundError, match='images are gone'):
        run_stages([failing], resume=path, again='…')
    assert (trainings[1].resume, trainings[1].load_from) == (True, path)
    assert not (work / 'done.json').exists()
    other = read_plain(options=options)
    run_stages([other], resume=path, again='…')
    assert (trainings[2].resume, trainings[2].load_from) == (True, path)
    assert read_state(other).done and not read_state(other).changed
    # a cut of it goes on with its own config only
    (work / 'done.json').unlink()
    assert 'model.channels was 4, is 8' in read_state(read_plain()).changed


def test_recipe_does_not_go_on_from_a_path(read, trainings):
    message = (
        '--resume iter_5.pth: the config is a recipe, whose stages go on from their '
        'own last checkpoints: give --resume without a path'
    )
    with pytest.raises(ValueError, match=message):
        run_stages(read(), resume='iter_5.pth', again='…')
    assert not trainings


def test_one_plain_training_at_a_time(read_plain, trainings, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    with FileLock(work / 'recipe.lock'):
        with pytest.raises(BlockingIOError, match=f'{work} is in use by another run'):
            run_stages([read_plain()], again='…')
    assert not trainings


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_cfg': None}, 'trains nothing: it has no train_cfg'),
        ({'model': 3}, 'trains nothing: it has no model'),
        (
            {'train_cfg._delete_': True, 'train_cfg.type': 'IterBasedTrainLoop'},
            'train_cfg has no length: give max_iters, or max_epochs',
        ),
    ],
)
def test_what_cannot_train(read, read_plain, trainings, tmp_path, options, message):
    """Nothing is written, in no folder."""
    with pytest.raises(ValueError, match=rf'plain\.py.*{message}'):
        run_stages([read_plain(options=options)], again='…')
    options = {f'stages.third.{key}': value for key, value in options.items()}
    with pytest.raises(ValueError, match=rf"recipe\.py, stage 'third'.*{message}"):
        run_stages(read(options=options), again='…')
    assert not trainings and not (tmp_path / 'work').exists()


def test_rank_0_decides(monkeypatch):
    """Another rank takes its result, or its error, and looks at no disk."""
    boxes = [['/w/last.pth', None], [None, FileNotFoundError('gone')]]

    def receive(box):
        box[:] = boxes.pop(0)

    monkeypatch.setattr(run, 'is_main_process', lambda: False)
    monkeypatch.setattr(run, 'broadcast_object_list', receive)
    assert from_rank_0(lambda: pytest.fail('looked')) == '/w/last.pth'
    with pytest.raises(FileNotFoundError, match='gone'):
        from_rank_0(lambda: pytest.fail('looked'))
