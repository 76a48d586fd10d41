import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from mmsemi.labeling.reliability import score_images, split_by_score
from mmsemi.models.utils.tta import tta_probabilities


def slow_miou(one, last):
    ious = []
    for c in range(3):
        union = ((one == c) | (last == c)).sum()
        if union:
            ious.append(((one == c) & (last == c)).sum() / union)
    return np.mean(ious)


def test_scores_by_hand(mixed_images, tiny_net, preprocessor):
    dataset = mixed_images()
    snapshots = [
        dict(one=tiny_net(k), other=tiny_net(10 + k).requires_grad_()) for k in range(3)
    ]
    got = score_images(
        snapshots, dataset, preprocessor=preprocessor, batch_size=2, num_workers=0
    )
    assert got.dtype == torch.double and got.shape == (7,)
    for i in range(7):
        raw = dataset[i]['inputs'].float()
        image, scores = (raw[None] - 120) / 60, []
        for name in ('one', 'other'):
            with torch.no_grad():
                maps = [
                    tta_probabilities(s[name], image).argmax(1)[0].numpy()
                    for s in snapshots
                ]
            earlier = [slow_miou(m, maps[-1]) for m in maps[:-1]]
            scores.append(np.mean(earlier))
        assert got[i].item() == pytest.approx(np.mean(scores), abs=1e-6)


def test_ties_keep_the_order_of_the_list():
    ids = list('abcdefg')
    scores = [0.5, 0.9, 0.5, 0.9, 0.1, 0.5, 0.9]
    assert split_by_score(ids, scores) == (['b', 'd', 'g'], ['a', 'c', 'f', 'e'])
    assert split_by_score(ids[:4], [0.0] * 4) == (['a', 'b'], ['c', 'd'])


def work(rank, folder, snapshots, dataset, preprocessor) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    scores = score_images(
        snapshots, dataset, preprocessor=preprocessor, batch_size=2, num_workers=0
    )
    torch.save(scores, folder / f'{rank}.pt')
    dist.destroy_process_group()


def test_two_processes(mixed_images, tiny_net, preprocessor, tmp_path: Path):
    snapshots = [dict(one=tiny_net(k)) for k in range(2)]
    arguments = snapshots, mixed_images(), preprocessor
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=work, args=(rank, tmp_path, *arguments))
        for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    alone = score_images(
        *arguments[:2], preprocessor=preprocessor, batch_size=2, num_workers=0
    )
    for rank, worker in enumerate(workers):
        worker.join(120)
        assert worker.exitcode == 0
        assert torch.equal(torch.load(tmp_path / f'{rank}.pt'), alone)
