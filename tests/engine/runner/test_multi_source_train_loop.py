import math
import random

import pytest
from mmengine.hooks import Hook

from mmsemi.engine.runner.multi_source_train_loop import (
    MultiSourceTrainLoop,
    epoch_steps,
    repeated,
    resolve_schedules,
)

SCORES = dict.fromkeys(range(1, 13), 0.5)
LINEAR = dict(type='LinearLR', start_factor=0.01, by_epoch=False)
POLY = dict(type='PolyLR', power=0.9, by_epoch=False)


@pytest.mark.parametrize(
    ('labels', 'total', 'per_process', 'processes', 'epochs', 'published'),
    [
        # U2PL on Pascal VOC: 80 epochs of the unlabelled images, 4 on each of 4 GPUs
        (92, 10582, 4, 4, 80, 52400),
        (183, 10582, 4, 4, 80, 52000),
        (366, 10582, 4, 4, 80, 51040),
        (732, 10582, 4, 4, 80, 49200),
        (1464, 10582, 4, 4, 80, 45600),
        (662, 10582, 4, 4, 80, 49600),
        (1323, 10582, 4, 4, 80, 46240),
        (2646, 10582, 4, 4, 80, 39680),
        (5291, 10582, 4, 4, 80, 26400),
        # on Cityscapes: 200 epochs, 2 on each of 8 GPUs
        (186, 2975, 2, 8, 200, 34800),
        (372, 2975, 2, 8, 200, 32600),
        (744, 2975, 2, 8, 200, 27800),
        (1488, 2975, 2, 8, 200, 18600),
    ],
)
def test_epochs_of_the_released_loader(
    labels, total, per_process, processes, epochs, published
):
    epoch = epoch_steps(total - labels, per_process, processes)
    assert epochs * epoch == published


@pytest.mark.parametrize(
    ('labels', 'total', 'steps'),
    [
        # ST++ repeats the list of labels whole until it is no shorter than the others,
        # and makes batches of 16 of both lists one after the other
        (92, 10582, 1316),
        (183, 10582, 1301),
        (1464, 10582, 1210),
        (372, 2975, 325),
    ],
)
def test_epochs_of_a_repeated_list(labels, total, steps):
    others = total - labels
    longer = repeated(labels, others)
    assert others <= longer < others + labels and longer % labels == 0
    assert epoch_steps(longer + others, 16) == steps


def test_repeated():
    assert [repeated(92, n) for n in (1, 92, 93, 10490)] == [92, 92, 184, 10580]


def test_epoch_steps_by_counting_batches():
    rng = random.Random(0)
    for _ in range(50):
        size, each, processes = (rng.randint(1, top) for top in (40, 6, 4))
        share = math.ceil(size / processes)
        batches = [len(range(share)[i : i + each]) for i in range(0, share, each)]
        assert epoch_steps(size, each, processes, drop_last=False) == len(batches)
        assert epoch_steps(size, each, processes) == max(1, batches.count(each))


@pytest.mark.parametrize(
    ('size', 'per_process', 'processes', 'floor', 'ceil'),
    [
        (9259, 16, 1, 578, 579),
        (2603, 2, 8, 163, 163),
        (3, 8, 1, 1, 1),
        (16, 8, 1, 2, 2),
    ],
)
def test_epoch_steps_by_hand(size, per_process, processes, floor, ceil):
    assert epoch_steps(size, per_process, processes) == floor
    assert epoch_steps(size, per_process, processes, drop_last=False) == ceil


class Watch(Hook):
    """Note the learning rate of each step, and the steps validated."""

    priority = 'LOW'

    def __init__(self):
        self.rates, self.validated = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    def before_val(self, runner):
        self.validated.append(runner.iter)


@pytest.fixture
def mixed(toy_runner, tiny_dataloader):
    """Return ``build(**loop)``: a runner of 2 + 2 of 2 labelled, 4 unlabelled."""

    def build(**loop):
        return toy_runner(
            train_dataloader=tiny_dataloader,
            train_cfg=dict(type='MultiSourceTrainLoop', **loop),
        )

    return build


@pytest.fixture
def train(toy_runner, toy_validation):
    """Return ``train(loop, schedules, **changes)``: what a training looked like."""

    def run(loop, schedules=None, **changes):
        watch = Watch()
        checkpoint = dict(type='AtomicCheckpointHook', by_epoch=False, interval=0.4)
        toy_runner(
            custom_hooks=[dict(type='ExactResumeHook'), watch],
            default_hooks=dict(checkpoint=checkpoint),
            param_scheduler=schedules,
            **toy_validation(SCORES)
            | dict(train_cfg=dict(type='MultiSourceTrainLoop', **loop))
            | changes,
        ).train()
        return watch

    return run


@pytest.mark.parametrize(
    ('loop', 'steps'),
    [
        (dict(max_epochs=3), 6),
        (dict(max_epochs=3, epoch_of='labeled'), 3),
        # 2 + 4 images of both, 4 in a batch
        (dict(max_epochs=3, epoch_of=['labeled', 'unlabeled']), 3),
        (dict(max_epochs=4, epoch_of=('unlabeled', 'labeled'), drop_last=False), 8),
        # the labels twice, and the others: 4 + 4 images, 4 in a batch
        (dict(max_epochs=3, repeat='labeled'), 6),
        (dict(max_epochs=3, epoch_of=['unlabeled'], repeat='labeled'), 6),
        # nothing to repeat: 4 + 2
        (dict(max_epochs=3, epoch_of='labeled', repeat='unlabeled'), 3),
        (dict(max_epochs=2.5), 5),
        (dict(max_epochs=0.1), 1),
        (dict(max_epochs=3, max_iters=4), 4),
        (dict(max_iters=4), 4),
    ],
)
def test_length(mixed, loop, steps):
    runner = mixed(**loop)
    assert runner.train_loop.max_iters == runner.max_iters == steps
    assert runner.max_epochs == 1
    assert isinstance(runner.train_loop, MultiSourceTrainLoop)


def test_the_last_batch_counts_or_not(mixed, tiny_images):
    for drop_last, steps in ((True, 1), (False, 2)):
        runner = mixed(max_epochs=1, drop_last=drop_last)
        cfg = runner._train_dataloader
        cfg['dataset']['unlabeled']['ann_file'] = 'three.txt'
        (tiny_images / 'three.txt').write_text('c\nd\ne\n')
        assert runner.train_loop.max_iters == steps


def test_each_process_does_a_share(mixed, monkeypatch):
    sampler = 'mmsemi.datasets.samplers.multi_source_sampler'
    monkeypatch.setattr(f'{sampler}.get_dist_info', lambda: (0, 2))
    assert mixed(max_epochs=3).train_loop.max_iters == 3


def test_dataloader_is_built_once(mixed, monkeypatch):
    runner, built = mixed(max_epochs=1), []
    build = runner.build_dataloader
    monkeypatch.setattr(
        runner, 'build_dataloader', lambda *a, **k: built.append(1) or build(*a, **k)
    )
    assert runner.train_loop.dataloader is runner.train_dataloader
    assert built == [1]


@pytest.mark.parametrize(
    ('loop', 'message'),
    [
        ({}, 'max_epochs=None and no max_iters: set one of them in train_cfg'),
        (dict(max_epochs=0), 'max_epochs=0 and no max_iters'),
        (
            dict(max_epochs=2, epoch_of='weak'),
            r"the part 'weak', .* draws from \['labeled', 'unlabeled'\]: set "
            'train_cfg.epoch_of to a part, or give max_iters',
        ),
        (
            dict(max_epochs=2, epoch_of=['labeled', 'weak']),
            r"counts epochs of the part 'weak', but the training draws from",
        ),
        (
            dict(max_epochs=2, repeat='weak'),
            r"counts epochs of the part 'weak', but the training draws from",
        ),
        (dict(max_iters=4, val_interval=1.5), 'val_interval=1.5: give a whole number'),
    ],
)
def test_no_length(mixed, loop, message):
    with pytest.raises(ValueError, match=message):
        mixed(**loop).train()


def test_data_without_parts(train):
    with pytest.raises(ValueError, match=r'draws from no parts: set .* give max_iters'):
        train(dict(max_epochs=2))


def test_shares_of_a_training_of_ten_steps(train, tmp_path):
    loop = dict(max_iters=10, val_interval=0.4, val_begin=0.5)
    schedules = [LINEAR | dict(begin=0, end=0.2), POLY | dict(begin=0.2)]
    watch = train(loop, schedules)
    assert watch.validated == [8, 10]
    assert (tmp_path / 'run/iter_4.pth').is_file()
    rates = [0.1 * 0.01, 0.1]
    rates += [0.1 * (1 - t / 7) ** 0.9 for t in range(8)]
    assert watch.rates == pytest.approx(rates, rel=1e-6)


def test_as_mmengines_loop_with_steps(train):
    loop = dict(max_iters=10, val_interval=4, val_begin=5)
    schedules = [LINEAR | dict(begin=0, end=2), POLY | dict(begin=2)]
    watch = train(loop, schedules)
    plain = train({}, schedules, train_cfg=dict(type='IterBasedTrainLoop', **loop))
    assert watch.rates == plain.rates
    assert watch.validated == plain.validated


def test_schedules_go_on_after_a_resume(train, tmp_path):
    loop = dict(max_iters=10, val_interval=0.4)
    schedules = [LINEAR | dict(begin=0, end=0.6), POLY | dict(begin=0.6)]
    whole = train(loop, schedules)
    again = dict(load_from=str(tmp_path / 'run/iter_4.pth'), resume=True)
    resumed = train(loop, schedules, **again)
    assert resumed.rates == whole.rates[4:]
    assert resumed.validated == [8, 10]


@pytest.mark.parametrize(
    ('total', 'end', 'begin'),
    [(1000, 30, 30), (100, 3, 3), (40, 2, 2), (4, 2, 2), (2, 2, 1), (1, 1, 0)],
)
def test_resolve_schedules(train, total, end, begin):
    schedules = [LINEAR | dict(begin=0, end=0.03), POLY | dict(begin=0.03)]
    warm, poly = resolve_schedules(schedules, total)
    assert (warm['begin'], warm['end'], poly['begin']) == (0, end, begin)
    assert 'end' not in poly
    assert schedules[0]['end'] == 0.03
    if total <= 4:
        # the full rate is reached
        rates = train(dict(max_iters=total), schedules).rates
        assert rates == pytest.approx([0.001, 0.1, 0.1, 0][:total])


def test_resolve_schedules_of_all_kinds():
    epochs = dict(type='StepLR', step_size=1, begin=1, end=3)
    built = object()
    assert resolve_schedules([epochs, built], 2) == [epochs, built]
    assert resolve_schedules(POLY | dict(end=0.5), 8) == [POLY | dict(end=4)]
    several = resolve_schedules(dict(a=POLY, b=[POLY | dict(begin=0.25)]), 8)
    assert several == dict(a=[POLY], b=[POLY | dict(begin=2)])
    assert resolve_schedules([], 8) == []


@pytest.mark.parametrize(
    ('schedule', 'message'),
    [
        (
            POLY | dict(begin=30),
            'PolyLR begins at step 30, but ends at step 20 of 20: train longer, or '
            'give begin and end in param_scheduler as shares',
        ),
        (POLY | dict(begin=0.5, end=0.5), 'begins at step 10, but ends at step 10'),
        (POLY | dict(end=1.5), 'PolyLR.end=1.5: give a whole number of steps'),
        (
            dict(type='PolyLR', end=0.5),
            'PolyLR counts epochs, and its end=0.5 is a share .* set by_epoch=False',
        ),
    ],
)
def test_schedules_of_no_length(schedule, message):
    with pytest.raises(ValueError, match=message):
        resolve_schedules([schedule], 20)
