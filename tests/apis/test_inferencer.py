"""Predictions from a training's checkpoint."""

import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmsemi.apis import SemiSegInferencer
from mmsemi.registry import MODELS


@pytest.fixture
def trained(tiny_images, tiny_segmentor, tmp_path, default_scope):
    """Write config and checkpoint: the student says 1, the teacher 2."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmsemi',
            model=dict(type='U2PL', segmentor=tiny_segmentor, bank_size=5),
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
            visualizer=dict(type='SegLocalVisualizer', name='inferencer'),
        )
    )
    config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'iter_3.pth'
    cfg.dump(config)
    model = MODELS.build(ConfigDict(cfg.model))
    for answer, network in enumerate(model.networks().values(), start=1):
        network.decode_head.conv_seg.bias.data[answer] = 1e6
    meta = dict(
        dataset_meta=dict(
            classes=('a', 'b', 'c', 'd'), palette=[[i] * 3 for i in range(4)]
        )
    )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return str(config), str(checkpoint), str(tiny_images / 'images/a.jpg')


@pytest.mark.parametrize(('predict_on', 'answer'), [(None, 2), ('student', 1)])
def test_predictions(predict_on, answer, trained):
    config, checkpoint, image = trained
    inferencer = SemiSegInferencer(
        config, checkpoint, predict_on=predict_on, device='cpu', show_progress=False
    )
    found = inferencer(image)['predictions']
    assert found.shape == (40, 48) and (found == answer).all()


@pytest.mark.parametrize(
    ('predict_on', 'answer'), [(None, 1), ('branch1', 3), ('fusion', 2)]
)
def test_predictions_of_two_branches(predict_on, answer, trained, tiny_segmentor):
    config, checkpoint, image = trained
    cfg = Config.fromfile(config)
    cfg.model = dict(type='BST', segmentor=tiny_segmentor, branch2=tiny_segmentor)
    cfg.dump(config)
    model = MODELS.build(ConfigDict(cfg.model))
    # class 2 is second for both networks, and first for their mean
    probs = [0.01, 0.01, 0.4, 0.58], [0.01, 0.58, 0.4, 0.01]
    for prob, network in zip(probs, model.networks().values(), strict=True):
        classifier = network.decode_head.conv_seg
        classifier.weight.data.zero_()
        classifier.bias.data.copy_(torch.tensor(prob).log())
    meta = dict(dataset_meta=dict(classes=list('abcd'), palette=[[0] * 3] * 4))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    inferencer = SemiSegInferencer(
        config, checkpoint, predict_on=predict_on, device='cpu', show_progress=False
    )
    assert (inferencer(image)['predictions'] == answer).all()


def test_bad_input(trained):
    config, checkpoint, _ = trained
    with pytest.raises(ValueError, match=r"'ema'.*\['student', 'teacher'\]"):
        SemiSegInferencer(config, checkpoint, predict_on='ema', device='cpu')
    torch.save(dict(state_dict={'student.x': torch.ones(1)}, meta={}), checkpoint)
    with pytest.raises(ValueError, match='is of another model'):
        SemiSegInferencer(config, checkpoint, device='cpu')
