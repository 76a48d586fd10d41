"""U2PL on two processes that do not see the same classes."""

import multiprocessing
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.registry import DefaultScope

from mmsemi.engine import SemiDistributedDataParallel
from mmsemi.models.utils import contrast


def work(rank: int, folder: Path, model, batches: list) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    with DefaultScope.overwrite_default_scope('mmsemi'):
        wrapped = SemiDistributedDataParallel(model, find_unused_parameters=False)
        contrasted, positives, own = [], [], []
        info_nce, prototypes = contrast.info_nce, contrast.class_prototypes

        def spy_loss(anchors, positive, *rest):
            positives.append(positive)
            return info_nce(anchors, positive, *rest)

        def spy_prototypes(*args):
            own.append([part.clone() for part in prototypes(*args)])
            return prototypes(*args)

        contrast.info_nce, contrast.class_prototypes = spy_loss, spy_prototypes
        for step, (inputs, samples) in enumerate(batches[rank]):
            model.set_iter(step, 10)
            losses = wrapped(inputs, samples, mode='loss')
            contrasted.append(float(losses.get('contrast_classes', -1)))
            wrapped.zero_grad()
            model.parse_losses(losses)[0].backward()
    torch.save(
        dict(
            contrasted=contrasted,
            positives=positives,
            own=own,
            bank=model.memory_bank.state_dict(),
            gradients=[p.grad for p in model.student.parameters()],
        ),
        folder / f'{rank}.pt',
    )
    dist.destroy_process_group()


def test_ranks_without_classes(make_method, make_batch, tmp_path):
    """Every parameter has its gradient, and gradients and banks are equal."""
    model = make_method(
        'U2PL',
        sharp=150,
        rep_channels=6,
        bank_size=60,
        bank_size_first=80,
        warmup_iters=1,
    )
    batches = [
        [make_batch(seed=10 * rank + step) for step in range(3)] for rank in (0, 1)
    ]
    # in the last step the second rank has nothing but void
    _, samples = batches[1][2]
    for sample in samples['sup']:
        sample.gt_sem_seg.data.fill_(255)
    for sample in samples['unsup_teacher']:
        sample.valid.data.fill_(False)

    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=work, args=(rank, tmp_path, model, batches))
        for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1))
    assert first['contrasted'][0] == second['contrasted'][0] == -1
    assert first['contrasted'][2] > 0 and second['contrasted'][2] == 0
    assert first['bank']['count'].sum() > 0
    for key, value in first['bank'].items():
        assert torch.equal(value, second['bank'][key]), key
    for mine, other in zip(first['gradients'], second['gradients'], strict=True):
        assert mine is not None and torch.equal(mine, other)

    # the positives of step 1 are the means over the anchors of both ranks
    (sums, counts), (other_sums, other_counts) = first['own'][0], second['own'][0]
    both = (sums + other_sums) / (counts + other_counts).clamp(min=1)[:, None]
    for rank in (first, second):
        present = (rank['own'][0][1] > 0) & (first['bank']['count'] > 0)
        torch.testing.assert_close(rank['positives'][0], both[present])
    assert (counts > 0).any() and (other_counts > 0).any()
