"""How far the stages are, and what cannot be gone on from."""

import hashlib
import json
import os
import re
import shutil

import pytest
import torch

from mmsemi.recipes.fingerprint import first_difference
from mmsemi.recipes.state import check_states, read_paths, read_state, write_note


def trained(stage, *names: str, done: bool = True) -> None:
    """Write what a training leaves, with its last checkpoint's name last."""
    stage.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (stage.folder / name).write_text('weights')
    if names:
        note = f'/elsewhere/{stage.name}/{names[-1]}'
        (stage.folder / 'last_checkpoint').write_text(note)
    if done:
        lists = stage.folder / 'lists'
        lists.mkdir(exist_ok=True)
        (lists / 'reliable.txt').write_text('a\n')
        write_note(stage, 'done', 9)


def test_states(read):
    first, second, third = stages = read()
    assert [str(read_state(s)) for s in stages] == ['to do'] * 3
    trained(first, 'iter_6.pth', 'iter_9.pth')
    trained(second, 'iter_3.pth', done=False)
    trained(third, 'epoch_2.pth', done=False)
    assert [str(read_state(s)) for s in stages] == [
        'done (9 iterations)',
        'cut at iteration 3',
        'cut at epoch 2',
    ]
    # moved since it was noted
    assert read_state(second).checkpoint == str(second.folder / 'iter_3.pth')


def test_done_note(read):
    """The hash is that of the config with its placeholders, wherever the folder is."""
    second = read()[1]
    trained(second)
    note = json.loads((second.folder / 'done.json').read_text())
    assert (note['format'], note['iteration']) == (2, 9)
    assert note['config']['load_from'] == '{first.last}'
    cfg = second.config().to_dict()
    assert cfg['train_dataloader'].pop('num_workers') == 3
    assert cfg.pop('visualizer')
    text = json.dumps(cfg, sort_keys=True)
    assert note['sha256'] == hashlib.sha256(text.encode()).hexdigest()
    assert sorted(p.name for p in second.folder.iterdir()) == ['done.json', 'lists']


def test_moved_folder(read, tmp_path):
    stages = read()
    for stage in stages:
        trained(stage, 'iter_9.pth', 'best_mIoU_iter_6.pth')
    (tmp_path / 'work').rename(tmp_path / 'moved')
    for stage in stages:
        stage.root = tmp_path / 'moved'
        stage.folder = stage.root / stage.name
    assert all(state.done for state in check_states(stages, resume=True))


def test_paths(read):
    first, second, third = read()
    trained(first, 'best_mIoU_iter_3.pth', 'iter_9.pth')
    work = str(first.folder.parent)
    assert read_paths(second, [first]) == {
        '{work_dir}': work,
        '{first.last}': f'{work}/first/iter_9.pth',
    }
    assert read_paths(second, []) == {'{work_dir}': work}
    best = '{first.best}'
    assert read_paths(third, [first])[best] == f'{work}/first/best_mIoU_iter_3.pth'
    # a kill between writing the new best and deleting the former
    newer = first.folder / 'best_mIoU_iter_6.pth'
    newer.write_text('weights')
    os.utime(newer, (2e9, 2e9))
    assert read_paths(third, [first])[best] == str(newer)


def test_nothing_is_overwritten(read):
    first, second, _ = stages = read()
    trained(first, 'iter_9.pth', 'best_mIoU_iter_9.pth')
    trained(second, 'iter_3.pth', done=False)
    work = re.escape('work holds first (done (9 iterations)), second (cut at iterat')
    with pytest.raises(FileExistsError, match=f'{work}.*add --resume.*--work-dir'):
        check_states(stages, resume=False)
    states = check_states(stages, resume=True)
    assert [s.done for s in states] == [True, False, False]


def test_done_with_another_config(read):
    trained(read()[0], 'iter_9.pth')
    stages = read(options={'stages.first.optim_wrapper.optimizer.lr': 0.2})
    message = (
        "stage 'first' is done with another config: optim_wrapper.optimizer.lr was "
        '0.1, is 0.2; take the old config, or train anew: with load_from=… in another '
        '--work-dir, or after '
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_states(stages, resume=True)
    # other stages' settings are not its own
    options = {'stages.second.optim_wrapper.optimizer.lr': 0.2}
    check_states(read(options=options)[:2], resume=True)


@pytest.mark.parametrize(
    ('kind', 'setting'),
    [
        ('PseudoLabelHook', dict(scales=[0.5])),
        ('mmsemi.CamHook', dict(scales=[0.5])),
        ('AffinityLabelHook', dict(crf=None)),
        ('RandomWalkHook', dict(beta=3)),
    ],
)
def test_labels_may_be_made_otherwise_once_the_weights_are_final(kind, setting, read):
    hook = dict(type=kind, dataset=dict(seg_map_suffix='.png'))
    before = {'stages.first.custom_hooks': [dict(type='ExactResumeHook'), hook]}
    hook = dict(hook, dataset=dict(seg_map_suffix='_ids.png'), **setting)
    after = {'stages.first.custom_hooks': [dict(type='ExactResumeHook'), hook]}
    first = read(options=before)[0]
    for name, changed in (('iter_6.pth', 'custom_hooks.1'), ('iter_9.pth', '')):
        trained(first, name, done=False)
        write_note(first, 'started')
        assert changed in read_state(read(options=after)[0]).changed
        assert changed or not read_state(read(options=after)[0]).changed
    options = {**after, 'stages.first.model.channels': 4}
    assert 'model.channels was 8, is 4' in read_state(read(options=options)[0]).changed


@pytest.mark.parametrize('iters', [5, 9])
def test_named_labels_of_a_training_counted_in_epochs(iters, read_plain):
    """Its checkpoint tells how many steps it had."""
    text = """
train_cfg = dict(_delete_=True, type='MultiSourceTrainLoop', max_epochs=2.5)
default_hooks = dict(pseudo_labels=dict(type='PseudoLabelHook', dataset=dict()))
"""
    stage = read_plain(text)
    trained(stage, 'iter_5.pth', done=False)
    hub = dict(runtime_info=dict(max_iters=iters))
    torch.save(dict(message_hub=hub), stage.folder / 'iter_5.pth')
    write_note(stage, 'started')
    changed = read_plain(text, options={'default_hooks.pseudo_labels.flip': True})
    said = '' if iters == 5 else 'default_hooks.pseudo_labels.flip was '
    assert read_state(changed).changed.startswith(said)
    assert bool(read_state(changed).changed) == bool(said)


@pytest.mark.parametrize('kind', ['MeanTeacherHook', 'ExactResumeHook', 'MyHook'])
def test_other_hooks_may_not_change(kind, read):
    before, after = (
        {'stages.first.custom_hooks': [dict(type=kind, priority=v)]} for v in (1, 2)
    )
    first = read(options=before)[0]
    trained(first, 'iter_9.pth', done=False)
    write_note(first, 'started')
    assert 'custom_hooks' in read_state(read(options=after)[0]).changed


def test_neutral_settings_may_change(read):
    trained(read()[0], 'iter_9.pth')
    options = {
        'visualizer.name': 'mine',
        'train_dataloader.num_workers': 0,
        'default_hooks.logger': dict(type='LoggerHook', interval=7),
        'stages.first.log_level': 'ERROR',
    }
    check_states(read(options=options)[:1], resume=True)


def test_copied_folder_does_not_go_on_in_the_other(read, tmp_path):
    """What last_checkpoint names lies in the folder that the copy is of."""
    stages = read()
    trained(stages[0], done=False)
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'iter_3.pth').write_text('weights')
    note = stages[0].folder / 'last_checkpoint'
    note.write_text(str(other / 'iter_3.pth'))
    with pytest.raises(FileNotFoundError, match=r'names .*other/iter_3.pth, which is'):
        check_states(stages, resume=True)


def test_cut_with_another_config(read):
    """Else done.json would tell of a config that half of the steps never saw."""
    (first, *_) = stages = read()
    write_note(first, 'started')
    trained(first, 'iter_3.pth', done=False)
    assert str(read_state(first)) == 'cut at iteration 3'
    check_states(stages, resume=True)
    stages = read(options={'stages.first.optim_wrapper.optimizer.lr': 0.2})
    message = (
        "stage 'first' is cut, and started with another config: "
        'optim_wrapper.optimizer.lr was 0.1, is 0.2; take the old config, or train anew'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_states(stages, resume=True)
    # nothing is lost where nothing was done
    (first.folder / 'last_checkpoint').unlink()
    check_states(stages, resume=True)


def test_source_of_a_cut_stage_is_gone(read):
    first, second, _ = stages = read()
    trained(second, 'iter_3.pth', done=False)
    with pytest.raises(
        ValueError, match=r"'second' is cut at iteration 3, but 'first'"
    ):
        check_states(stages, resume=True)
    assert not first.folder.exists()


def test_source_is_gone(read):
    first, second, _ = stages = read()
    trained(first, 'iter_9.pth', 'best_mIoU_iter_9.pth')
    trained(second, 'iter_9.pth')
    shutil.rmtree(first.folder)
    message = (
        "'second' is done (9 iterations), but 'first', which it reads, is not done"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_states(stages, resume=True)


@pytest.mark.parametrize(('number', 'what'), [(1, 'last'), (2, 'best')])
def test_checkpoint_is_gone(read, number, what):
    first, *others = read()
    trained(first)
    message = f"stage 'first' is done, but its {what} checkpoint is not in "
    with pytest.raises(FileNotFoundError, match=message):
        check_states([first, others[number - 1]], resume=True)
    # nobody reads it any more
    trained(others[number - 1])
    check_states([first, others[number - 1]], resume=True)


def test_last_checkpoint_is_gone(read):
    first = read()[0]
    trained(first, 'iter_6.pth', done=False)
    (first.folder / 'iter_6.pth').unlink()
    with pytest.raises(FileNotFoundError, match=r'iter_6.pth, which is not there: put'):
        read_state(first)


def test_list_of_a_done_stage_is_gone(read):
    first, *_ = stages = read()
    trained(first, 'iter_9.pth', 'best_mIoU_iter_9.pth')
    (first.folder / 'lists/reliable.txt').unlink()
    with pytest.raises(
        FileNotFoundError, match=r"'second' reads \S+first/lists/reliable.txt .*is gone"
    ):
        check_states(stages, resume=True)


def test_note_of_an_older_version(read):
    first = read()[0]
    trained(first, 'iter_9.pth')
    path = first.folder / 'done.json'
    note = json.loads(path.read_text())
    note['config']['visualizer'] = dict(name='old')
    path.write_text(json.dumps(dict(note, sha256='other')))
    assert not read_state(first).changed


@pytest.mark.parametrize('name', ['done', 'started'])
def test_note_of_the_old_form(read, name):
    first, *_ = stages = read()
    trained(first, 'iter_9.pth', done=False)
    write_note(first, name)
    path = first.folder / f'{name}.json'
    note = json.loads(path.read_text())
    del note['format']
    path.write_text(json.dumps(note))
    message = (
        f'{path} was written by another version of mmsemi, whose recipes had another '
        'form: finish it with that version, or choose another --work-dir'
    )
    for resume in (True, False):
        with pytest.raises(ValueError, match=re.escape(message)):
            check_states(stages, resume=resume)


def test_states_of_a_plain_config(read_plain, tmp_path):
    """Its notes lie in its own work dir."""
    stage = read_plain()
    assert str(read_state(stage)) == 'to do'
    trained(stage, 'iter_3.pth', done=False)
    write_note(stage, 'started')
    assert str(read_state(stage)) == 'cut at iteration 3'
    with pytest.raises(FileExistsError) as caught:
        check_states([stage], resume=False)
    assert str(caught.value) == (
        f'{tmp_path / "work"} holds a training (cut at iteration 3): add --resume to '
        'go on, or choose another --work-dir'
    )
    write_note(stage, 'done', 9)
    assert (tmp_path / 'work/done.json').is_file()
    with pytest.raises(FileExistsError, match=r'a training \(done \(9 iterations\)\)'):
        check_states([stage], resume=False)
    assert check_states([stage], resume=True)[0].done
    changed = read_plain(options={'optim_wrapper.optimizer.lr': 0.2})
    message = (
        'the training is done with another config: optim_wrapper.optimizer.lr was '
        '0.1, is 0.2; take the old config, or train anew: with load_from=… in another '
        f'--work-dir, or after {tmp_path / "work"} is deleted'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_states([changed], resume=True)


def test_training_that_noted_nothing_goes_on(read_plain):
    """As those of mmseg, and of plain configs of mmsemi 0.1."""
    stage = read_plain()
    trained(stage, 'iter_3.pth', done=False)
    (state,) = check_states([stage], resume=True)
    assert state.checkpoint == str(stage.folder / 'iter_3.pth')


@pytest.mark.parametrize('text', ['{"sha2', '{}', '[]'])
def test_note_that_cannot_be_read(read, text):
    stage = read()[0]
    trained(stage)
    (stage.folder / 'done.json').write_text(text)
    with pytest.raises(ValueError, match=r'done.json cannot be read .*: delete '):
        read_state(stage)


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        (dict(a=[1, dict(b=2)]), dict(a=[1, dict(b=3)]), 'a.1.b was 2, is 3'),
        (dict(a=[1]), dict(a=[1, 2]), 'a was [1], is [1, 2]'),
        (dict(a=1), dict(a=1, b=None), "b was 'absent', is None"),
        (dict(a=1), dict(a=1), ''),
    ],
)
def test_first_difference(old, new, expected):
    assert first_difference(old, new) == expected


def test_folder_of_another_config(read):
    """Two trainings do not mix in one work dir."""
    stages = read()
    root = stages[0].root
    (root / 'fourth').mkdir(parents=True)
    (root / 'fourth/started.json').write_text('{}')
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r'work holds fourth of another conf'):
            check_states(stages, resume=resume)
    (root / 'fourth/started.json').rename(root / 'done.json')
    with pytest.raises(FileExistsError, match='holds a training without stages of an'):
        check_states(stages, resume=False)
