"""``tools/test.py`` on a method, without training one."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from PIL import Image

from mmsemi.registry import MODELS

TOOL = Path(__file__).parents[2] / 'tools/test.py'
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
VIEWS = dict(
    type='TestTimeAug',
    transforms=[
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ],
)


@pytest.fixture
def run():
    """Return the tool's ``main``."""
    return runpy.run_path(str(TOOL))['main']


@pytest.fixture
def trained(tiny_images, tiny_segmentor, tmp_path) -> tuple[str, str]:
    """Write a config and a checkpoint: the student says 1, the teacher 2."""
    cfg = Config(
        dict(
            default_scope='mmsemi',
            model=dict(type='MeanTeacher', segmentor=tiny_segmentor),
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='BaseSegDataset',
                    metainfo=dict(classes=('a', 'b', 'c', 'd')),
                    data_root=str(tiny_images),
                    data_prefix=dict(img_path='images', seg_map_path='masks'),
                    ann_file='labeled.txt',
                    pipeline=PIPELINE,
                ),
            ),
            test_cfg=dict(type='TestLoop'),
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            work_dir=str(tmp_path / 'work'),
            tta_model=dict(type='SegTTAModel'),
            tta_pipeline=[dict(type='LoadImageFromFile'), VIEWS],
        )
    )
    config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'iter_3.pth'
    cfg.dump(config)
    init_default_scope('mmsemi')
    model = MODELS.build(ConfigDict(cfg.model))
    for answer, network in enumerate(model.networks().values(), start=1):
        network.decode_head.conv_seg.bias.data[answer] = 1e6
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    return str(config), str(checkpoint)


def accuracy(masks: Path, answer: int) -> float:
    """The share of an answer in the labelled pixels, in percent."""
    labels = np.stack([np.array(Image.open(masks / f'{name}.png')) for name in 'ab'])
    return 100 * (labels == answer).sum() / (labels != 255).sum()


@pytest.mark.parametrize(
    ('options', 'answer'),
    [([], 2), (['--predict-on', 'student'], 1), (['--tta'], 2)],
    ids=['default', 'student', 'tta'],
)
def test_scores_and_label_maps(options, answer, run, trained, tiny_images, tmp_path):
    run([*trained, '--out', str(tmp_path / 'maps'), *options])
    for name in 'ab':
        found = np.array(Image.open(tmp_path / f'maps/{name}.png'))
        assert found.shape == (40, 48) and (found == answer).all()
    (metrics,) = (tmp_path / 'work').glob('*/*.json')
    got = json.loads(metrics.read_text())['aAcc']
    assert got == pytest.approx(accuracy(tiny_images / 'masks', answer), abs=0.01)


def test_painted_predictions(run, trained, tmp_path):
    cfg = Config.fromfile(trained[0])
    cfg.merge_from_dict(
        dict(
            default_hooks=dict(visualization=dict(type='SegVisualizationHook')),
            visualizer=dict(
                type='SegLocalVisualizer',
                name='painted',
                vis_backends=[dict(type='LocalVisBackend')],
            ),
        )
    )
    cfg.dump(trained[0])
    run([*trained, '--show-dir', str(tmp_path / 'painted')])
    assert len(list((tmp_path / 'painted').rglob('*.png'))) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--predict-on', 'ema'], r"predict_on='ema'.*\['student', 'teacher'\]"),
        (['--show-dir', 'x'], 'default_hooks'),
        (['--cfg-options', 'model.type=NoMethod'], 'NoMethod'),
    ],
)
def test_bad_options(options, message, run, trained):
    with pytest.raises((ValueError, KeyError), match=message):
        run([*trained, *options])


def test_predict_on_a_plain_model(run, trained):
    cfg = Config.fromfile(trained[0])
    cfg.model = cfg.model.segmentor
    cfg.dump(trained[0])
    with pytest.raises(ValueError, match='EncoderDecoder is one network'):
        run([*trained, '--predict-on', 'student'])


def test_tta_without_a_pipeline(run, trained):
    cfg = Config.fromfile(trained[0])
    cfg.pop('tta_pipeline')
    cfg.dump(trained[0])
    with pytest.raises(ValueError, match='--tta needs tta_pipeline in the config'):
        run([*trained, '--tta'])


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        (None, FileNotFoundError, r'iter_3.pth does not exist'),
        (b'PK\x03\x04cut off', ValueError, r'iter_3.pth cannot be read.*cut off'),
        ('other', ValueError, r'iter_3.pth is of another model: \d+ of \d+ tensors'),
    ],
)
def test_bad_checkpoints(content, error, message, run, trained):
    path = Path(trained[1])
    path.unlink()
    if content == 'other':
        torch.save(dict(state_dict={'student.conv.weight': torch.ones(1)}), path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        run(list(trained))


def test_no_config(run):
    with pytest.raises(FileNotFoundError, match=r'the config no.py does not exist'):
        run(['no.py', 'no.pth'])


@pytest.mark.parametrize('stage', ['first', 'last', None])
def test_stage_of_a_recipe(stage, run, trained, tmp_path):
    """By default the last; the first predicts on the student."""
    cfg = Config.fromfile(trained[0])
    first = dict(model=dict(predict_on='student'))
    Config(dict(cfg, stages=dict(first=first, last={}))).dump(trained[0])
    options = ['--stage', stage] if stage else []
    run([*trained, '--out', str(tmp_path / 'maps'), *options])
    answer = 1 if stage == 'first' else 2
    assert (np.array(Image.open(tmp_path / 'maps/a.png')) == answer).all()


def test_no_such_stage(run, trained):
    with pytest.raises(ValueError, match=r"tiny.py has no stage 'one', but no stages"):
        run([*trained, '--stage', 'one'])
