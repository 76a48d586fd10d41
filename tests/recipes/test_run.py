"""The order of the stages, what each gets, and what a failure says."""

from pathlib import Path

import pytest
from filelock import FileLock

from mmsemi.engine.runner import stage_runner
from mmsemi.engine.runner.stage_runner import from_rank_0, plan, run_stages


@pytest.fixture
def trainings(monkeypatch) -> list:
    """Put a note in the place of each training; return the configs it got."""
    started: list = []

    def train(cfg):
        started.append(cfg)
        if cfg.get('env_cfg', {}).get('fails'):
            raise FileNotFoundError('images are gone')
        folder = Path(cfg.work_dir)
        (folder / 'lists').mkdir(parents=True, exist_ok=True)
        (folder / 'lists/reliable.txt').write_text('a\n')
        for name in ('iter_9.pth', 'best_mIoU_iter_6.pth'):
            (folder / name).write_text('weights')
        (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
        return 9

    monkeypatch.setattr(stage_runner, 'train', train)
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
    assert third.train_dataloader.labels == [best, 'x{}.pth']
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
    options = {'stages.second.env_cfg': dict(fails=True)}
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
    options = {'stages.third.train_cfg': dict(_delete_=True, max_epochs=4)}
    stages = read(options=options)
    run_stages(stages[:1], again='…')
    lines = plan(stages).splitlines()
    assert lines[0] == f'3 stages in {tmp_path / "work"}'
    assert lines[1] == '1. first: done (9 iterations)'
    assert lines[2].endswith('configs/toy.py, 9 iterations')
    assert lines[3] == '2. second: to do'
    assert lines[5] == '     reads first: load_from={first.last}'
    assert lines[6].endswith('dataset.ann_file={work_dir}/first/lists/reliable.txt')
    assert lines[7] == '3. third: to do' and lines[8].endswith('toy.py, 4 epochs')
    changed = read(options={'stages.first.model.channels': 4})
    assert 'first: done with another config: model.channels was 8' in plan(changed)


def test_rank_0_decides(monkeypatch):
    """Another rank takes its result, or its error, and looks at no disk."""
    boxes = [['/w/last.pth', None], [None, FileNotFoundError('gone')]]

    def receive(box):
        box[:] = boxes.pop(0)

    monkeypatch.setattr(stage_runner, 'is_main_process', lambda: False)
    monkeypatch.setattr(stage_runner, 'broadcast_object_list', receive)
    assert from_rank_0(lambda: pytest.fail('looked')) == '/w/last.pth'
    with pytest.raises(FileNotFoundError, match='gone'):
        from_rank_0(lambda: pytest.fail('looked'))
