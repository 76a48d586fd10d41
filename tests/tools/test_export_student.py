"""A student leaves for mmseg, and mmsemi is not needed there."""

import copy
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model, init_model

from mmsemi.registry import MODELS

TOOL = Path(__file__).parents[2] / 'tools/export_student.py'
PALETTE = [[70, 130, 180], [128, 64, 128], [107, 142, 35], [0, 0, 142]]
U2PL_HEAD = dict(
    type='U2PLHead',
    in_channels=64,
    in_index=3,
    c1_in_channels=8,
    channels=8,
    dilations=(1, 2),
    num_classes=4,
    norm_cfg=dict(type='SyncBN'),
    align_corners=True,
    loss_decode=dict(type='BatchOhemCrossEntropy', loss_weight=2.0),
)
PLAIN_MMSEG = """
import sys, torch
from mmseg.apis import MMSegInferencer, inference_model, init_model
image, out, *names = sys.argv[1:]
found = []
for name in names:
    files = name + '.py', name + '.pth'
    model = init_model(*files, device='cpu')
    model.load_state_dict(torch.load(files[1])['state_dict'], strict=True)
    inferencer = MMSegInferencer(*files, device='cpu')
    found.append(dict(
        scores=inference_model(model, image).seg_logits.data,
        label=torch.from_numpy(inferencer(image)['predictions']),
        meta=model.dataset_meta,
    ))
foreign = [name for name in sys.modules if name.split('.')[0] == 'mmsemi']
torch.save(dict(found=found, foreign=foreign), out)
"""


@pytest.fixture
def export() -> Callable[[list], None]:
    """Return the tool's ``main``."""
    return runpy.run_path(str(TOOL))['main']


@pytest.fixture
def trained(tiny_images, tiny_segmentor, tmp_path):
    """Return a function that writes a training's config and checkpoint."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CamVidDataset',
            metainfo=dict(classes=('sky', 'road', 'tree', 'car'), palette=PALETTE),
            data_root=str(tiny_images),
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            ann_file='all.txt',
            pipeline=pipeline,
        ),
    )

    def train(
        segmentor=tiny_segmentor, method=None
    ) -> tuple[Path, Path, torch.nn.Module]:
        cfg = Config(
            dict(
                default_scope='mmsemi',
                model=dict(
                    method or dict(type='U2PL', bank_size=5), segmentor=segmentor
                ),
                val_dataloader=loader,
                test_dataloader=loader,
                val_cfg=dict(type='TeacherStudentValLoop'),
                test_cfg=dict(type='TestLoop'),
                val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
                test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
                vis_backends=[dict(type='LocalVisBackend')],
                visualizer=dict(type='SegLocalVisualizer', name='visualizer'),
            )
        )
        config, checkpoint = tmp_path / 'tiny.py', tmp_path / 'iter_3.pth'
        cfg.dump(config)
        init_default_scope('mmsemi')
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(cfg.model))
        for network in model.networks().values():
            for parameter in network.parameters():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
        torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
        model.cfg = cfg
        model.cfg.test_pipeline = pipeline
        return config, checkpoint, model.eval()

    return train


def test_plain_mmseg_runs_it(trained, export, tiny_images, tmp_path, capsys):
    config, checkpoint, model = trained()
    names = {which: str(tmp_path / f'out/tiny_{which}') for which in model.networks()}
    for which in names:
        export([str(config), str(checkpoint), str(tmp_path / 'out'), '--which', which])
    assert 'mmsemi must be installed' not in capsys.readouterr().out

    image, out = str(tiny_images / 'images/c.jpg'), tmp_path / 'found.pt'
    command = [sys.executable, '-c', PLAIN_MMSEG, image, str(out), *names.values()]
    subprocess.run(command, check=True, cwd=tmp_path)
    saved = torch.load(out, weights_only=False)
    assert saved['foreign'] == []
    for which, found in zip(names, saved['found'], strict=True):
        assert tuple(found['meta']['classes']) == ('sky', 'road', 'tree', 'car')
        assert found['meta']['palette'] == PALETTE
        with model.predicting_on(which):
            expected = inference_model(model, image)
        torch.testing.assert_close(found['scores'], expected.seg_logits.data)
        assert torch.equal(found['label'].long(), expected.pred_sem_seg.data[0])


def test_exported_config(trained, export, tmp_path):
    config, checkpoint, _ = trained()
    export([str(config), str(checkpoint), str(tmp_path / 'out')])
    cfg = Config.fromfile(tmp_path / 'out/tiny_teacher.py')
    assert 'mmsemi' not in cfg.pretty_text
    assert cfg.model.decode_head.type == 'DepthwiseSeparableASPPHead'
    dataset = cfg.test_dataloader.dataset
    assert (dataset.type, dataset.img_suffix) == ('BaseSegDataset', '.jpg')
    assert (cfg.val_cfg.type, cfg.test_cfg.type) == ('ValLoop', 'TestLoop')
    Compose(cfg.test_pipeline)


def test_mmengines_marks_stay_behind(trained, export, tmp_path):
    """They are in configs that inherit from ``mmsemi::…``."""
    config, checkpoint, _ = trained()
    cfg = Config.fromfile(config)
    loader = cfg.test_dataloader
    places = [cfg.model, cfg.visualizer, cfg.vis_backends[0], cfg.test_evaluator]
    places += [loader, loader.sampler, loader.dataset, loader.dataset.pipeline[0]]
    for place in places:
        place._scope_ = 'mmsemi'
    # the user's own, which does not know the types
    cfg.default_scope = 'mmseg'
    cfg.custom_imports = dict(imports=['mmsemi'])
    cfg.dump(config)
    assert config.read_text().count("_scope_='mmsemi'") == len(places)
    export([str(config), str(checkpoint), str(tmp_path / 'out')])
    text = (tmp_path / 'out/tiny_teacher.py').read_text()
    assert 'mmsemi' not in text and '_scope_' not in text


def test_the_papers_decoder_says_that_it_needs_mmsemi(
    trained, export, tiny_segmentor, tmp_path, capsys
):
    tiny_segmentor['decode_head'] = U2PL_HEAD
    config, checkpoint, model = trained(tiny_segmentor)
    export([str(config), str(checkpoint), str(tmp_path / 'out')])
    assert 'names mmsemi.U2PLHead: mmsemi must be inst' in capsys.readouterr().out
    cfg = Config.fromfile(tmp_path / 'out/tiny_teacher.py')
    head = cfg.model.decode_head
    assert (head.type, head.norm_cfg.type) == ('mmsemi.U2PLHead', 'SyncBN')
    assert head.loss_decode == dict(type='CrossEntropyLoss', loss_weight=2.0)
    saved = torch.load(tmp_path / 'out/tiny_teacher.pth', weights_only=False)
    assert json.dumps(sorted(saved['state_dict'])) == json.dumps(
        sorted(model.teacher.state_dict())
    )


@pytest.fixture
def branches(trained, tiny_segmentor):
    """Return a function that writes a training of BST, its second head wider."""

    def train(**kwargs) -> tuple[Path, Path, torch.nn.Module]:
        branch2 = copy.deepcopy(tiny_segmentor)
        branch2['decode_head'].update(
            type='BranchAttentionSepASPPHead', attention_groups=2, c1_channels=4
        )
        # as in configs that say it once
        del branch2['data_preprocessor']
        return trained(method=dict(type='BST', branch2=branch2, **kwargs))

    return train


def test_each_branch_leaves_with_its_own_config(
    branches, export, tiny_images, tmp_path, capsys
):
    config, checkpoint, model = branches()
    image = str(tiny_images / 'images/c.jpg')
    for which, head in [
        ('branch1', 'DepthwiseSeparableASPPHead'),
        ('branch2', 'mmsemi.BranchAttentionSepASPPHead'),
    ]:
        export([str(config), str(checkpoint), str(tmp_path / 'out'), '--which', which])
        said = capsys.readouterr().out
        assert ('mmsemi must be installed' in said) is (which == 'branch2')
        files = [str(tmp_path / f'out/tiny_{which}{end}') for end in ('.py', '.pth')]
        cfg = Config.fromfile(files[0])
        assert cfg.model.decode_head.type == head
        assert cfg.model.data_preprocessor.size == (33, 33)
        plain = init_model(*files, device='cpu')
        with model.predicting_on(which):
            expected = inference_model(model, image).seg_logits.data
        torch.testing.assert_close(
            inference_model(plain, image).seg_logits.data, expected
        )
    assert f'branch2, {len(model.branch2.state_dict())} tensors' in said


@pytest.mark.parametrize('said', [[], ['--which', 'fusion']])
def test_a_fusion_is_no_plain_model(said, branches, export, tmp_path):
    config, checkpoint, _ = branches(predict_on='fusion')
    message = '--which fusion: this is branch1 and branch2 of BST together.*each with'
    with pytest.raises(ValueError, match=message):
        export([str(config), str(checkpoint), str(tmp_path / 'out'), *said])
    assert not (tmp_path / 'out').exists()


def test_unknown_network(trained, export, tmp_path):
    config, checkpoint, _ = trained()
    with pytest.raises(ValueError, match=r"--which ema: .*\['student', 'teacher'\]"):
        export([str(config), str(checkpoint), str(tmp_path), '--which', 'ema'])


def test_checkpoint_of_another_model(trained, export, tmp_path):
    config, checkpoint, _ = trained()
    torch.save(dict(state_dict={'conv.weight': torch.ones(1)}), checkpoint)
    with pytest.raises(ValueError, match=r'iter_3.pth is of another model'):
        export([str(config), str(checkpoint), str(tmp_path)])
    with pytest.raises(FileNotFoundError, match=r'no.pth does not exist'):
        export([str(config), str(tmp_path / 'no.pth'), str(tmp_path)])
