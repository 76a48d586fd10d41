import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from PIL import Image

from mmsemi.engine import SemiVisualizationHook
from mmsemi.engine.hooks.semi_visualization_hook import predict_prob
from mmsemi.engine.unwrap import evaluating
from mmsemi.models.utils.pseudo_label import entropy

NUMBERS = itertools.count()
U2PL = dict(type='U2PL', rep_channels=8, bank_size=50, bank_size_first=50, low_rank=1)


@pytest.fixture
def train(tiny_segmentor, tiny_dataloader, tmp_path, default_scope):
    """Train U2PL for 3 steps with more hooks; return the runner."""

    def run(*hooks, steps=3):
        number = next(NUMBERS)
        runner = Runner(
            model=ConfigDict(U2PL, segmentor=tiny_segmentor),
            work_dir=str(tmp_path / f'work{number}'),
            train_dataloader=tiny_dataloader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=steps),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            custom_hooks=[
                dict(type='ExactResumeHook'),
                dict(type='SetIterHook'),
                dict(type='MeanTeacherHook'),
                *hooks,
            ],
            default_scope='mmsemi',
            experiment_name=f'vis{number}',
            log_level='WARNING',
            randomness=dict(seed=0),
        )
        runner.train()
        return runner

    return run


def drawings(runner):
    folder = f'{runner.work_dir}/vis_data/pseudo_labels'
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob('*.png'))


def test_training_is_the_same_with_and_without(train, tiny_images):
    plain = train()
    drawn = train(
        dict(
            type='SemiVisualizationHook',
            interval=1,
            num_images=2,
            truth_dir=str(tiny_images / 'masks'),
        )
    )
    assert len(drawings(drawn)) == 6
    other = drawn.model.state_dict()
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize('interval', [2, 0.6])
def test_draws_at_the_interval_and_at_the_end(train, interval):
    runner = train(dict(type='SemiVisualizationHook', interval=interval, num_images=9))
    expected = [f'{i}/iter_00000{n}.png' for i in 'cdef' for n in (2, 3)]
    assert drawings(runner) == expected


def test_panels_show_the_teacher(train, tiny_images):
    runner = train()
    palette = runner.train_dataloader.dataset.metainfo['palette']
    hook = SemiVisualizationHook(interval=1, truth_dir=str(tiny_images / 'masks'))
    hook.before_train(runner)
    image = np.array(Image.open(tiny_images / 'images' / 'c.jpg'))[..., ::-1]
    model = runner.model
    with model.predicting_on('teacher'), evaluating(model), torch.no_grad():
        prob = predict_prob(model, image)
    uncertainty = entropy(prob, 0)
    limit = float(uncertainty.median())
    hook._draw(runner, 3, torch.tensor(limit))
    path = f'{runner.work_dir}/vis_data/pseudo_labels/c/iter_000003.png'
    strip = np.array(Image.open(path))

    # panels of 128 x 128 with 4 between; 40 x 48 fills 107 x 128 of one
    def pixel(panel, y, x):
        row = (128 - 107) // 2 + int((y + 0.5) * 107 / 40)
        return strip[row, panel * 132 + int((x + 0.5) * 128 / 48)]

    assert strip.shape == (128, 5 * 132 - 4, 3)
    mask = np.array(Image.open(tiny_images / 'masks' / 'c.png'))
    for y, x in itertools.product(range(5, 40, 7), range(5, 48, 7)):
        colour = palette[prob[:, y, x].argmax()]
        assert pixel(1, y, x).tolist() == colour
        dropped = uncertainty[y, x] >= limit
        shown = pixel(2, y, x).tolist()
        assert (shown in ([255] * 3, [150] * 3)) == dropped
        assert dropped or shown == colour
        assert pixel(4, y, x).tolist() == palette[mask[y, x]]


def test_predict_prob_is_the_teachers_softmax(train, tiny_images):
    model = train(steps=1).model.eval()
    image = np.array(Image.open(tiny_images / 'images' / 'a.jpg'))[..., ::-1]
    cfg = model.data_preprocessor.data_preprocessor
    with torch.no_grad():
        prob = predict_prob(model, image)
        rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1).float()
        x = ((rgb - cfg.mean) / cfg.std)[None]
        logits = model.teacher.encode_decode(x, [dict(img_shape=(40, 48))])
    torch.testing.assert_close(prob, logits[0].softmax(0))
    assert entropy(prob, 0).max() <= math.log(len(prob)) + 1e-5


def test_evaluating_puts_every_mode_back(tiny_segmentor):
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.Dropout())
    model[0].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, False, True]


def test_unknown_part(train):
    with pytest.raises(ValueError, match=r"'weak'.*\['labeled', 'unlabeled'\]"):
        train(dict(type='SemiVisualizationHook', interval=1, source='weak'))


@pytest.mark.parametrize('wrong', [dict(interval=0), dict(interval=1, num_images=0)])
def test_numbers_below_one(wrong):
    with pytest.raises(ValueError, match='give 1 or more'):
        SemiVisualizationHook(**wrong)
