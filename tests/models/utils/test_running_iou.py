"""The running IoU against loops, on one process and on two."""

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from mmsemi.models.utils.running_iou import RunningClassIoU, image_reliability

CLASSES, STEPS = 4, 5


def make_batches(seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Predictions and labels of 4 images a step; class 3 is never there."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(STEPS):
        pred = torch.randint(3, (4, 6, 7), generator=generator)
        label = torch.where(
            torch.rand(pred.shape, generator=generator) < 0.7, pred, (pred + 1) % 3
        )
        label[torch.rand(label.shape, generator=generator) < 0.2] = 255
        batches.append((pred, label))
    return batches


def slow(batches, decay, count_void=False):
    true, predicted, hit = [1.0] * CLASSES, [0.0] * CLASSES, [0.0] * CLASSES
    for pred, label in batches:
        pairs = list(
            zip(pred.flatten().tolist(), label.flatten().tolist(), strict=True)
        )
        for c in range(CLASSES):
            true[c] = decay * true[c] + sum(t == c for _, t in pairs)
            hit[c] = decay * hit[c] + sum(p == t == c for p, t in pairs)
            predicted[c] = decay * predicted[c] + sum(
                p == c and (count_void or t != 255) for p, t in pairs
            )
    return torch.tensor(
        [h and h / (t + q - h) for t, q, h in zip(true, predicted, hit, strict=True)]
    )


@pytest.mark.parametrize('count_void', [False, True])
@pytest.mark.parametrize('decay', [0.99, 0.5, 0])
def test_matches_slow_computation(decay, count_void):
    expected = slow(make_batches(), decay, count_void)
    running = RunningClassIoU(CLASSES, decay, count_void=count_void)
    for pred, label in make_batches():
        running.update(pred, label)
    torch.testing.assert_close(running.iou, expected)
    assert running.iou[:3].min() > 0.2 and running.iou[3] == 0


def test_begins_at_zero():
    assert RunningClassIoU(3).iou.tolist() == [0, 0, 0]


def test_by_hand():
    running = RunningClassIoU(2)
    running.update(torch.tensor([[[0, 0, 1]]]), torch.tensor([[[0, 1, 255]]]))
    # class 0: T = 0.99 + 1, Q = 2, P = 1; class 1: P = 0
    assert running.iou.tolist() == pytest.approx([1 / 2.99, 0])


def test_other_void_and_labels_outside_the_classes():
    running, plain = RunningClassIoU(2, ignore_index=0), RunningClassIoU(2)
    pred = torch.tensor([[[0, 1, 1, 255, 7]]])
    running.update(pred, torch.tensor([[[0, 0, 1, 1, 1]]]))
    plain.update(pred, torch.tensor([[[255, 255, 1, 1, 1]]]))
    assert torch.equal(running.iou, plain.iou)
    assert plain.iou.tolist() == pytest.approx([0, 1 / 3.99])


def test_state_is_in_checkpoints_and_takes_no_gradient():
    batches = make_batches()
    whole, first = RunningClassIoU(CLASSES), RunningClassIoU(CLASSES)
    for step, (pred, label) in enumerate(batches):
        whole.update(pred, label)
        if step < 2:
            first.update(pred, label)
    resumed = RunningClassIoU(CLASSES)
    resumed.load_state_dict(first.state_dict())
    for pred, label in batches[2:]:
        resumed.update(pred, label)
    assert torch.equal(resumed.iou, whole.iou)
    assert not whole.iou.requires_grad and not list(whole.parameters())


def test_finite_after_long_absence():
    running = RunningClassIoU(2, decay=0.5)
    for _ in range(300):
        running.update(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))
    assert running.true[1] == 0 and running.iou.tolist() == [1, 0]


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    running = RunningClassIoU(CLASSES)
    for pred, label in make_batches():
        running.update(pred[rank::2], label[rank::2])
    torch.save(running.state_dict(), folder / f'{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path):
    alone = RunningClassIoU(CLASSES)
    for pred, label in make_batches():
        alone.update(pred, label)
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=work, args=(r, tmp_path)) for r in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pt')
        assert set(found) == {'true', 'predicted', 'hit'}
        for name, value in alone.state_dict().items():
            assert torch.equal(found[name], value), (rank, name)


def test_reliability():
    iou = torch.tensor([0.9, 0.5, 0.0, 0.8])
    tags = torch.tensor(
        [[1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    ).bool()
    strict = image_reliability(iou, tags)
    assert strict.tolist() == pytest.approx([0.8**8, 0.5**8, 0, 0, 0])
    released = image_reliability(iou, tags, zero_as_one=True)
    assert released.tolist() == pytest.approx([0.8**8, 0.5**8, 0.9**8, 1, 1])
    assert image_reliability(iou, tags[:2], power=2).tolist() == pytest.approx(
        [0.64, 0.25]
    )


@pytest.mark.parametrize(
    ('call', 'match'),
    [
        (lambda: RunningClassIoU(0), 'num_classes=0 must be at least 1'),
        (lambda: RunningClassIoU(3, decay=1), r'decay=1 must be in \[0, 1\)'),
        (
            lambda: RunningClassIoU(3).update(torch.zeros(1, 2, 2), torch.zeros(1, 2)),
            r'pred has shape \(1, 2, 2\), but \(1, 2\)',
        ),
        (
            lambda: image_reliability(torch.ones(3), torch.ones(2, 4).bool()),
            r'tags has shape \(2, 4\), but \(2, 3\)',
        ),
        (
            lambda: image_reliability(torch.ones(3), torch.ones(2, 3).bool(), -1),
            'power=-1 must be at least 0',
        ),
    ],
)
def test_wrong_arguments(call, match):
    with pytest.raises(ValueError, match=match):
        call()
