import json
from pathlib import Path

import pytest

from mmsemi.labeling import ReliabilityHook
from mmsemi.labeling.hooks import reliability_hook
from mmsemi.labeling.images import images_to_label
from mmsemi.labeling.reliability import score_images


def hook(images: dict, **changes) -> dict:
    return dict(type='ReliabilityHook', dataset=images, num_workers=0) | changes


def outcome(work_dir: Path) -> tuple[str, str, dict]:
    scores = json.loads((work_dir / 'lists/scores.json').read_text())
    reliable, unreliable = (
        (work_dir / f'lists/{name}.txt').read_text()
        for name in ('reliable', 'unreliable')
    )
    return reliable, unreliable, scores


def test_lists_of_the_networks_at_thirds(
    train_branches, images, two_branches, tmp_path
):
    runner = train_branches(hook(images, out_dir='lists'))
    runner.train()
    reliable, unreliable, found = outcome(tmp_path / 'work')
    # 5 steps: 5 // 3, 10 // 3, 5
    models = [two_branches(tmp_path / f'work/iter_{step}.pth') for step in (1, 3, 5)]
    snapshots = [model.networks() for model in models]
    expected = score_images(
        snapshots,
        images_to_label(images, runner.cfg),
        preprocessor=models[0].data_preprocessor,
        num_workers=0,
    ).tolist()
    assert [found['scores'][name] for name in 'cdef'] == expected
    ranked = sorted('cdef', key=lambda name: -found['scores'][name])
    assert list(found['scores']) == ranked
    assert reliable == '\n'.join(ranked[:2]) + '\n'
    assert unreliable == '\n'.join(ranked[2:]) + '\n'


@pytest.mark.parametrize('step', [2, 4])
def test_cut_and_resumed(step, train_branches, images, tmp_path):
    split = hook(images, out_dir='lists')
    train_branches(split, work_dir='whole').train()
    runner = train_branches(split)

    class Cut(Exception):
        pass

    def cut(runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == step:
            raise Cut

    late = ReliabilityHook(images)
    late.before_train = late.after_train = lambda runner: None
    late.after_train_iter = cut
    runner.register_hook(late, priority='LOWEST')
    with pytest.raises(Cut):
        runner.train()
    train_branches(split, resume=True).train()
    assert outcome(tmp_path / 'work') == outcome(tmp_path / 'whole')


def test_scores_are_not_computed_twice(train_branches, images, tmp_path, monkeypatch):
    split = hook(images, out_dir='lists', num_checkpoints=2)
    train_branches(split, steps=2).train()
    before = outcome(tmp_path / 'work')
    for name in ('reliable', 'unreliable'):
        (tmp_path / f'work/lists/{name}.txt').unlink()
    with monkeypatch.context() as patch:
        patch.delattr(reliability_hook, 'score_images')
        train_branches(split, steps=2, resume=True).train()
    assert outcome(tmp_path / 'work') == before
    # other weights are scored anew
    train_branches(split, steps=2, randomness=dict(seed=1)).train()
    assert outcome(tmp_path / 'work')[2]['made_of'] != before[2]['made_of']


def test_lost_weights(train_branches, images, tmp_path):
    train_branches(hook(images), steps=3).train()
    (tmp_path / 'work/reliability/iter_2.pth').unlink()
    runner = train_branches(hook(images), steps=3, resume=True)
    with pytest.raises(FileNotFoundError, match=r'iter_2.pth is missing: it was'):
        runner.train()


@pytest.mark.parametrize(
    ('changes', 'steps', 'message'),
    [
        ({}, 2, r'too few iterations for 3 checkpoints \(2\)'),
        (dict(networks=['ema']), 3, r"networks=\['ema'\]: name some of \['branch1'"),
        (dict(ann_file='all.txt'), 3, 'all.txt: 2 of the 6 images'),
        (dict(ann_file='one.txt'), 3, 'one.txt has one image'),
    ],
)
def test_refused_before_the_first_step(
    changes, steps, message, train_branches, images, tiny_images
):
    (tiny_images / 'one.txt').write_text('c\n')
    images['ann_file'] = changes.pop('ann_file', 'unlabeled.txt')
    runner = train_branches(hook(images, **changes), steps=steps)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


def test_one_checkpoint(images):
    with pytest.raises(ValueError, match='num_checkpoints=1: give at least 2'):
        ReliabilityHook(images, num_checkpoints=1)
