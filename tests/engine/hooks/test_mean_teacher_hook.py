import pytest
import torch
from mmengine.model import BaseModel

from mmsemi.engine import MeanTeacherHook


def hand_average(states, decay, *, warmup, start_iter, every, buffers, max_iters):
    """Return the teacher after each step, in double precision, from the students."""
    students = [
        {k[8:]: v.double() for k, v in state.items() if k.startswith('student.')}
        for state in states
    ]
    teacher = dict(students[0])
    result, updates = [dict(teacher)], 0
    for step, student in enumerate(students[1:]):
        stepped = (step + 1) % every == 0 or step + 1 == max_iters
        if stepped and step < start_iter:
            teacher = dict(student)
        elif stepped:
            weight = min(1 - 1 / (updates + 1), decay) if warmup else decay
            updates += 1
            for name in teacher:
                is_count = name.endswith('num_batches_tracked')
                is_buffer = is_count or 'running' in name
                if is_buffer and buffers == 'skip':
                    continue
                copied = is_count or (is_buffer and buffers == 'copy')
                share = 0 if copied else weight
                teacher[name] = share * teacher[name] + (1 - share) * student[name]
        result.append(dict(teacher))
    return result


@pytest.mark.parametrize(
    ('warmup', 'start_iter', 'every', 'buffers'),
    [
        (True, 0, 1, 'ema'),
        (False, 0, 1, 'copy'),
        (True, 3, 1, 'skip'),
        (True, 0, 2, 'ema'),
        (True, 2, 2, 'ema'),
        (False, 4, 3, 'skip'),
    ],
)
def test_teacher_follows_the_hand_loop(
    toy_runner, recorder, warmup, start_iter, every, buffers
):
    hook = MeanTeacherHook(0.7, warmup, start_iter, buffers)
    toy_runner(
        custom_hooks=[hook, recorder],
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1), accumulative_counts=every
        ),
    ).train()
    expected = hand_average(
        recorder.states,
        0.7,
        warmup=warmup,
        start_iter=start_iter,
        every=every,
        buffers=buffers,
        max_iters=7,
    )
    assert len(expected) == 8
    for state, teacher in zip(recorder.states, expected, strict=True):
        for name, value in teacher.items():
            torch.testing.assert_close(state[f'teacher.{name}'].double(), value)


def test_accumulation_moves_the_teacher_with_the_student_only(toy_runner, recorder):
    toy_runner(
        custom_hooks=[MeanTeacherHook(), recorder],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2),
    ).train()

    def moved(name):
        pairs = zip(recorder.states, recorder.states[1:], strict=False)
        return [not torch.equal(a[name], b[name]) for a, b in pairs]

    # of 7 steps the 2nd, 4th, 6th and, as mmengine does it, the last
    student = [False, True, False, True, False, True, True]
    assert moved('student.3.weight') == student
    assert moved('teacher.3.weight') == student


def test_first_copy_is_made_after_the_weights_are_loaded(
    toy_runner, recorder, tmp_path
):
    # mmengine's averaged models are deepcopies of the weights before init and load
    trained = toy_runner().model.student.state_dict()
    trained = {f'student.{k}': torch.full_like(v, 3) for k, v in trained.items()}
    torch.save(dict(state_dict=trained), tmp_path / 'plain.pth')
    toy_runner(
        custom_hooks=[MeanTeacherHook(), recorder],
        load_from=str(tmp_path / 'plain.pth'),
    ).train()
    first = recorder.states[0]
    for name, value in trained.items():
        assert torch.equal(first[name], value)
        assert torch.equal(first[name.replace('student', 'teacher')], value)


def test_teacher_shares_no_memory_with_the_student(toy_runner):
    runner = toy_runner(custom_hooks=[MeanTeacherHook()])
    runner.train()
    teacher = {
        tensor.data_ptr() for tensor in runner.model.teacher.state_dict().values()
    }
    student = {
        tensor.data_ptr() for tensor in runner.model.student.state_dict().values()
    }
    assert not teacher & student


def test_resume_keeps_the_teacher(toy_runner, recorder):
    checkpoint = dict(type='AtomicCheckpointHook', by_epoch=False, interval=4)
    first = toy_runner(
        custom_hooks=[MeanTeacherHook()],
        default_hooks=dict(checkpoint=checkpoint),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=4),
    )
    first.train()
    saved = first.model.state_dict()
    assert not torch.equal(saved['teacher.0.weight'], saved['student.0.weight'])

    resumed = toy_runner(
        custom_hooks=[MeanTeacherHook(), recorder],
        load_from=f'{first.work_dir}/iter_4.pth',
        resume=True,
    )
    resumed.train()
    for name, value in saved.items():
        assert torch.equal(recorder.states[0][name], value)
    assert len(recorder.states) == 1 + 3


@pytest.mark.parametrize('decay', [1, 1.5, -0.1])
def test_decay_outside_its_range_names_the_convention(decay):
    with pytest.raises(
        ValueError, match=rf'decay={decay} is not in \[0, 1\).*weight of'
    ):
        MeanTeacherHook(decay=decay)


def test_unknown_buffers():
    with pytest.raises(ValueError, match="buffers='average': choose one of"):
        MeanTeacherHook(buffers='average')


def test_model_without_teacher(toy_runner):
    class Plain(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, inputs, mode):
            return dict(loss=self.layer(torch.stack(inputs)).mean())

    runner = toy_runner(model=Plain(), custom_hooks=[MeanTeacherHook()])
    with pytest.raises(
        TypeError, match=r'needs a model with student and teacher.*Plain'
    ):
        runner.train()


def test_settings_that_contradict_the_method(toy_runner):
    def train(**options):
        runner = toy_runner(custom_hooks=[MeanTeacherHook(**options)])
        runner.model.warmup_iters, runner.model.teacher_passes = 3, 2
        runner.train()

    with pytest.raises(ValueError, match=r'warmup_iters=3 .* start_iter=2: set'):
        train(start_iter=2, buffers='skip')
    with pytest.raises(ValueError, match=r"buffers='ema': set 'skip'"):
        train(start_iter=3)
    train(start_iter=4, buffers='skip')


@pytest.mark.parametrize(
    ('needs', 'missing'),
    [('needs_time', 'SetIterHook'), ('needs_mean_teacher', 'MeanTeacherHook')],
)
@pytest.mark.parametrize('hook', ['SetIterHook', 'MeanTeacherHook', 'ExactResumeHook'])
def test_each_hook_misses_the_others(hook, needs, missing, toy_runner):
    runner = toy_runner(custom_hooks=[dict(type=hook)])
    runner.model.set_iter = lambda *time: None
    setattr(runner.model, needs, True)
    if hook == missing:
        runner.train()
        return
    match = rf"ToyMethod .*: add dict\(type='{missing}'\) to custom_hooks"
    with pytest.raises(ValueError, match=match):
        runner.train()


def test_teacher_follows_the_methods_warm_up(toy_runner):
    def train(warmup, **options):
        hook = MeanTeacherHook(**options)
        runner = toy_runner(custom_hooks=[hook])
        runner.model.warmup_iters = warmup
        runner.train()
        state = runner.model.state_dict()
        return {k: v for k, v in state.items() if k.startswith('teacher.')}

    expected = train(3, start_iter=3)
    # 3 of 7 steps
    for options in (dict(warmup=3), dict(warmup=0.45)):
        for start in ({}, dict(start_iter=0.45)):
            for name, value in train(**options, **start).items():
                assert torch.equal(value, expected[name]), name
    other = train(3, start_iter=0.6)
    assert any(not torch.equal(other[name], expected[name]) for name in expected)


def test_method_tells_its_own_warm_up(toy_runner):
    hook = MeanTeacherHook()
    runner = toy_runner(custom_hooks=[hook])
    runner.model.warmup_steps = lambda max_iters: max_iters - 2
    runner.train()
    assert hook._start == 5


@pytest.mark.parametrize(
    ('warmup', 'start', 'message'),
    [
        (0, 7, r'start_iter=7 steps, but the training has 7: train longer, or give a'),
        (8, None, r'warmup_iters=8 steps, but the training has 7'),
        (0.9, 5, r'warmup_iters=0.9 \(6 steps\), .* start_iter=5: set .*=0.9 or more'),
        (0, 1.5, r'MeanTeacherHook.start_iter=1.5: give a whole number of steps'),
    ],
)
def test_teacher_that_starts_too_early_or_never(toy_runner, warmup, start, message):
    with pytest.raises(ValueError, match=message):
        runner = toy_runner(custom_hooks=[MeanTeacherHook(start_iter=start)])
        runner.model.warmup_iters = warmup
        runner.train()


@pytest.mark.parametrize('hook', ['SetIterHook', 'MeanTeacherHook', 'ExactResumeHook'])
@pytest.mark.parametrize(
    'loop', [dict(type='EpochBasedTrainLoop'), dict(by_epoch=True)]
)
def test_epochs_without_an_end(toy_runner, tiny_dataloader, hook, loop):
    runner = toy_runner(
        custom_hooks=[dict(type=hook)],
        train_dataloader=tiny_dataloader,
        train_cfg=dict(loop, max_epochs=2),
    )
    remedy = r"type='MultiSourceTrainLoop', max_epochs=2, epoch_of='unlabeled'\)"
    with pytest.raises(ValueError, match=rf'EpochBasedTrainLoop waits .*{remedy}'):
        runner.train()
