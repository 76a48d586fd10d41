"""A supervised config becomes a semi-supervised one, by the tool and by hand."""

import copy
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmsemi
from mmsemi.apis.config_text import Name, assignments, changes
from mmsemi.apis.semi_config import METHODS, make_semi_config
from mmsemi.apis.semi_sources import without_labels
from mmsemi.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[2]
TRAIN = {
    'ours': ROOT / 'tools/train.py',
    "mmseg's": Path(mmseg.__file__).parent / '.mim/tools/train.py',
}


@pytest.fixture
def tool():
    """Return the tool's ``main``."""
    return runpy.run_path(str(ROOT / 'tools/semi_config.py'))['main']


@pytest.fixture
def plain(tiny_images, tiny_segmentor, tmp_path, monkeypatch) -> Path:
    """Write a supervised config as mmseg's users have them, and go to its folder."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(33, 33), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs', meta_keys=('img_path', 'ori_shape', 'img_shape')),
    ]
    data = dict(
        type='BaseSegDataset',
        data_root=str(tiny_images),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        metainfo=dict(classes=('sky', 'road', 'tree', 'car')),
        ann_file='all.txt',
    )
    cfg = Config(
        dict(
            default_scope='mmseg',
            # a variable of mmseg's base files, which mmengine gives to any model
            data_preprocessor=dict(type='SegDataPreProcessor'),
            model=tiny_segmentor,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='InfiniteSampler', shuffle=True),
                dataset=dict(data, pipeline=pipeline),
            ),
            val_dataloader=dict(
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(data, pipeline=[*pipeline[:2], pipeline[-1]]),
            ),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
            ),
            param_scheduler=[dict(type='PolyLR', by_epoch=False, end=2)],
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
            val_cfg=dict(type='ValLoop'),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)
            ),
            log_processor=dict(by_epoch=False),
            env_cfg=dict(dist_cfg=dict(backend='nccl')),
            log_level='ERROR',
        )
    )
    path = tmp_path / 'my_model.py'
    cfg.dump(path)
    monkeypatch.chdir(tmp_path)
    return path


def semi(plain, method='u2pl', **kwargs):
    cfg = plain if isinstance(plain, Config) else Config.fromfile(plain)
    return make_semi_config(cfg, method, 'labeled.txt', 'unlabeled.txt', **kwargs)


@pytest.fixture
def edited(plain):
    """Return a function that reads the supervised config and changes it."""

    def edit(**options) -> Config:
        cfg = Config.fromfile(plain)
        cfg.merge_from_dict(options)
        return cfg

    return edit


@pytest.mark.parametrize('method', METHODS)
def test_builds_and_loads_a_batch(method, plain):
    cfg = semi(plain, method)
    loader = cfg.train_dataloader
    assert loader.batch_size == 4 and loader.num_workers == 0
    assert loader.sampler.num_per_source == dict(labeled=2, unlabeled=2)
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = DATASETS.build(loader.dataset)
        model = MODELS.build(cfg.model)
    assert [len(part) for part in data.sources.values()] == [2, 4]
    labeled, unlabeled = data[0], data[2]
    assert set(labeled) == {'sup'} and 'gt_sem_seg' in labeled['sup']['data_samples']
    assert {'sup', *unlabeled} == set(model.branches)
    for sample in unlabeled.values():
        assert sample['inputs'].shape == (3, 33, 33)
        assert 'gt_sem_seg' not in sample['data_samples']
        assert set(sample['data_samples'].metainfo_keys()) == {
            'img_path',
            'ori_shape',
            'img_shape',
        }
    hooks = {hook.type for hook in cfg.custom_hooks}
    assert {'mmsemi.ExactResumeHook', 'mmsemi.SetIterHook'} <= hooks
    assert ('mmsemi.MeanTeacherHook' in hooks) == model.needs_mean_teacher
    assert getattr(model, 'cutmix', None) == METHODS[method].get(
        'cutmix', getattr(model, 'cutmix', None)
    )


def test_what_stays_and_what_changes(plain):
    before, given = Config.fromfile(plain), Config.fromfile(plain)
    cfg = semi(given, batch=(1, 3))
    assert cfg.model.segmentor == before.model and cfg.model.type == 'mmsemi.U2PL'
    for key in ('val_dataloader', 'optim_wrapper', 'train_cfg', 'param_scheduler'):
        assert cfg[key] == before[key]
    assert given.to_dict() == before.to_dict()
    labeled, unlabeled = (
        cfg.train_dataloader.dataset[key] for key in ('labeled', 'unlabeled')
    )
    dataset = before.train_dataloader.dataset
    for key in ('type', 'data_root', 'data_prefix', 'metainfo'):
        assert labeled[key] == dataset[key]
    assert labeled.pipeline[:-1] == dataset.pipeline[:-1]
    assert unlabeled.data_prefix == dict(img_path='images')
    assert (labeled.ann_file, unlabeled.ann_file) == ('labeled.txt', 'unlabeled.txt')
    assert unlabeled.img_suffix == '.jpg'
    # no mask, no random colours, and a crop that asks no mask
    assert unlabeled.pipeline[:-1] == [
        dict(type='LoadImageFromFile'),
        dict(type='RandomCrop', crop_size=(33, 33)),
        dict(type='RandomFlip', prob=0.5),
    ]
    assert cfg.train_dataloader.sampler.num_per_source == dict(labeled=1, unlabeled=3)
    assert cfg.default_hooks.checkpoint == dict(
        type='mmsemi.AtomicCheckpointHook', by_epoch=False, interval=2
    )
    assert cfg.val_cfg.type == 'mmsemi.TeacherStudentValLoop'
    assert cfg.randomness.seed == 0 and cfg.custom_imports.imports == ['mmsemi']
    assert 'data_preprocessor' not in cfg


def test_own_settings_are_kept(edited):
    cfg = semi(
        edited(
            **{
                'randomness.seed': 7,
                'randomness.deterministic': True,
                'custom_hooks': [dict(type='EmptyCacheHook')],
                'custom_imports.imports': 'mmpretrain.models',
                'model.decode_head.num_classes': 3,
            }
        ),
        'mean_teacher',
    )
    assert cfg.randomness == dict(seed=7, deterministic=True)
    assert cfg.custom_hooks[0].type == 'EmptyCacheHook' and len(cfg.custom_hooks) == 4
    assert cfg.custom_imports.imports == ['mmpretrain.models', 'mmsemi']
    assert 'low_rank' not in cfg.model


@pytest.mark.parametrize('num_classes, low_rank', [(2, 1), (3, 1), (4, None)])
def test_few_classes(num_classes, low_rank, edited):
    cfg = semi(edited(**{'model.decode_head.num_classes': num_classes}))
    assert cfg.model.get('low_rank') == low_rank
    MODELS.build(dict(cfg.model, _scope_='mmsemi'))


def test_wrapped_data_set_and_nested_transforms(edited):
    cfg = edited()
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline[-2] = dict(
        type='RandomApply', transforms=[dict(type='PhotoMetricDistortion')]
    )
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=dataset)
    parts = semi(cfg).train_dataloader.dataset
    assert parts.labeled.type == 'BaseSegDataset'
    assert [s.type for s in parts.unlabeled.pipeline[1:3]] == [
        'RandomCrop',
        'RandomFlip',
    ]
    step = dict(
        type='RandomChoice',
        transforms=[dict(type='mmseg.CLAHE'), dict(type='Albu', transforms=[])],
    )
    before = copy.deepcopy(step)
    assert without_labels([step]) == [
        dict(type='RandomChoice', transforms=[dict(type='mmseg.CLAHE')])
    ]
    assert step == before


def test_folder_of_unlabeled_images(plain, tiny_images):
    more = tiny_images / 'more'
    (tiny_images / 'images/e.jpg').rename((more.mkdir() or more) / 'e.jpg')
    cfg = make_semi_config(Config.fromfile(plain), 'cps', 'labeled.txt', str(more))
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = DATASETS.build(cfg.train_dataloader.dataset)
    info = data.sources['unlabeled'].get_data_info(0)
    assert info['img_path'] == str(more / 'e.jpg')
    with pytest.raises(ValueError, match=r'folder .*images holds the labelled .*a.jpg'):
        make_semi_config(
            Config.fromfile(plain), 'cps', 'labeled.txt', str(tiny_images / 'images')
        )


def test_written_text_is_the_same_config(plain, tool, tiny_images, capsys):
    argv = [str(plain), '--method', 'unimatch', '--labeled', 'labeled.txt']
    argv += ['--unlabeled', 'unlabeled.txt', '--out', 'new/semi.py']
    assert tool([*argv, '--cfg-options', 'model.threshold=0.7']) == 0
    assert 'wrote new/semi.py: unimatch on EncoderDecoder' in capsys.readouterr().out
    cfg, expected = Config.fromfile('new/semi.py'), semi(plain, 'unimatch')
    expected.model.threshold = 0.7
    for key in expected:
        assert cfg[key] == expected[key], key
    text = Path('new/semi.py').read_text()
    assert "_base_ = '../my_model.py'" in text and len(text.splitlines()) < 90
    assert 'segmentor=_base_.model' in text
    for line in text.splitlines()[3:]:
        assert len(line) <= 88 or str(tiny_images) in line
    # again: only by force; and the same for a model that options change
    assert tool(argv) == 1
    assert 'new/semi.py exists: give another --out' in capsys.readouterr().err
    options = 'model.segmentor.decode_head.channels=4'
    assert tool([*argv, '--force', '--cfg-options', options]) == 0
    cfg = Config.fromfile('new/semi.py')
    assert cfg.model.segmentor.decode_head.channels == 4
    assert cfg.model.segmentor.backbone == expected.model.segmentor.backbone


def test_text_of_a_config():
    long = dict(b=[1, (2,)], type='X', **{'not a name': Name('_base_.y')})
    values = dict(a=1, c=dict(type='Y', b='s'), d=dict(_delete_=True, e=[long] * 3))
    namespace = dict(_base_=type('Base', (), dict(y=5)))
    exec(assignments(values), namespace)
    assert namespace['a'] == 1 and namespace['c'] == values['c']
    assert namespace['d']['e'] == [{**long, 'not a name': 5}] * 3
    assert assignments(dict(c=values['c'])) == "c = dict(type='Y', b='s')\n"
    old = dict(x=dict(type='A', n=1, m=dict(k=1)), y=[1], z=3)
    new = dict(x=dict(type='B', n=1, m=dict(k=2)), y=[1], w=dict(p=1))
    assert changes(new, old) == dict(x=dict(type='B', m=dict(k=2)), w=dict(p=1))
    shorter = dict(x=dict(n=1, m=dict(k=1)))
    assert changes(shorter, old) == dict(x=dict(_delete_=True, n=1, m=dict(k=1)))


@pytest.mark.parametrize(
    'option, message',
    [
        ({'model.decode_head': None}, None),
        ({'train_cfg.type': 'EpochBasedTrainLoop'}, 'trains by epochs'),
        (
            {'model': dict(type='U2PL', segmentor=1)},
            r"'U2PL' of .* is a method already",
        ),
        ({'optim_wrapper': {}}, r'my_model.py has no optim_wrapper: give the config'),
        (
            {'train_dataloader.dataset.img_suffix': '.png'},
            r"begins with 'a', but.*a.png",
        ),
    ],
)
def test_configs_that_do_not_fit(option, message, edited):
    if message is None:
        cfg = edited()
        del cfg.model.decode_head
        message = 'has no head: give the config of a supervised training'
    else:
        cfg = edited()
        for key, value in option.items():
            *parents, last = key.split('.')
            node = cfg
            for parent in parents:
                node = node[parent]
            node[last] = value
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        semi(cfg)


def test_pipelines_and_data_sets_that_do_not_fit(edited):
    cfg = edited()
    cfg.train_dataloader.dataset.pipeline.pop()
    with pytest.raises(ValueError, match='does not end with PackSegInputs'):
        semi(cfg)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[])
    with pytest.raises(ValueError, match='dataset has no pipeline: join its parts'):
        semi(cfg)
    for kind, match in (
        ('mmsemi.MultiSourceDataset', 'trains a method of mmsemi already'),
        ('MultiImageMixDataset', 'mixes labelled images'),
    ):
        cfg.train_dataloader.dataset = dict(type=kind, dataset=dict(pipeline=[]))
        with pytest.raises(ValueError, match=match):
            semi(cfg)


@pytest.mark.parametrize(
    'argv, message',
    [
        (['--method', 'u3pl'], r"method 'u3pl' is unknown: choose from \['mean-teach"),
        (
            ['--labeled', 'no.txt'],
            r'the list no.txt does not exist and not below .*tiny',
        ),
        (
            ['--unlabeled', 'all.txt'],
            r'2 images are in both .*labeled.txt and .*all.txt',
        ),
        (
            ['--unlabeled', 'pairs.txt'],
            r"pairs.txt .*'image mask', mmseg wants.*make_spl",
        ),
        (['--batch', '0', '2'], r'a batch of \(0, 2\) images: give at least 1'),
        (['--cfg-options', 'model.segmentor.type=NoSuch'], 'cannot be built.*NoSuch'),
        (
            ['--cfg-options', 'model.speed=3'],
            "cannot be built.*keyword argument 'speed'",
        ),
    ],
)
def test_messages(argv, message, plain, tool, tiny_images, capsys):
    (tiny_images / 'pairs.txt').write_text('images/a.jpg masks/a.png\n')
    common = ['--method', 'u2pl', '--labeled', 'labeled.txt']
    common += ['--unlabeled', 'unlabeled.txt', '--out', 'semi.py']
    assert tool([str(plain), *common, *argv]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith('semi_config: ') and re.search(message, said), said
    assert not Path('semi.py').exists()


def test_files_that_are_no_config(plain, tool, capsys):
    lists = ['--method', 'u2pl', '--labeled', 'labeled.txt', '--unlabeled', 'x.txt']
    assert tool(['no.py', *lists]) == 1
    assert 'the config no.py does not exist' in capsys.readouterr().err
    Path('bad.py').write_text('model = dict(\n')
    assert tool(['bad.py', *lists]) == 1
    assert 'bad.py cannot be read as a config' in capsys.readouterr().err
    Path('other.py').write_text('x = 1\n')
    assert tool(['other.py', *lists]) == 1
    assert 'other.py has no model, train_dataloader, optim_' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('program', TRAIN)
@pytest.mark.parametrize('method', ['u2pl', 'unimatch'])
def test_trains(method, program, plain, tool, tiny_images):
    argv = [str(plain), '--method', method, '--labeled', 'labeled.txt']
    assert tool([*argv, '--unlabeled', 'unlabeled.txt', '--out', 'semi.py']) == 0
    run_training('semi.py', TRAIN[program])


def run_training(config: str, program: Path) -> None:
    """Train in a process of its own, and look at what it leaves."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, str(program), config, '--work-dir', 'run'],
        env=os.environ | {'PYTHONPATH': path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    saved = torch.load('run/iter_2.pth', weights_only=False)
    weights = saved['state_dict']
    assert all(w.isfinite().all() for w in weights.values() if w.is_floating_point())
    assert any(key.startswith('student.') for key in weights)


def on_page(title: str) -> str:
    """Return the Python below a title of docs/your_own_model.md."""
    page = (ROOT / 'docs/your_own_model.md').read_text()
    section = page.split(f'\n## {title}\n')[1].split('\n## ')[0]
    (code,) = re.findall(r'```python\n(.*?)```', section, re.DOTALL)
    return code


def by_hand() -> str:
    """Return the config that turns a whole supervised one."""
    return on_page('By hand, from your whole config')


def test_in_python_is_what_the_tool_writes(plain):
    exec(on_page('In Python'), {})
    found = Config.fromfile('my_model_u2pl.py')
    assert found.to_dict() == semi(plain).to_dict()


def test_by_hand_is_what_the_tool_writes(plain):
    Path('hand.py').write_text(by_hand())
    found, expected = Config.fromfile('hand.py'), semi(plain)
    assert found.model == expected.model
    assert found.custom_hooks == expected.custom_hooks
    pack = expected.train_dataloader.dataset.labeled.pipeline[-1].sup
    found, expected = found.train_dataloader, expected.train_dataloader
    for key in ('batch_size', 'sampler', 'collate_fn'):
        assert found[key] == expected[key]
    labeled = expected.dataset.labeled
    labeled.pipeline[-1].sup = [dict(type='mmsemi.PackSemiInputs')]
    assert pack != labeled.pipeline[-1].sup
    assert found.dataset.labeled == labeled
    assert found.dataset.unlabeled.ann_file == 'unlabeled.txt'
    steps, wanted = (d.dataset.unlabeled.pipeline[:-1] for d in (found, expected))
    assert steps == wanted


def test_a_model_file_of_mmseg_goes_on_our_data_sets(tmp_path, monkeypatch):
    if not (Path(mmsemi.__file__).parent / '.mim' / 'configs').exists():
        pytest.skip('mmsemi is not installed: no mmsemi/.mim')
    monkeypatch.chdir(tmp_path)
    models = Path(mmseg.__file__).parent / '.mim/configs/_base_/models'
    shutil.copy(models / 'segformer_mit-b0.py', 'my_model.py')
    Path('hand.py').write_text(on_page('By hand, on our data sets and schedules'))
    cfg = Config.fromfile('hand.py')
    with DefaultScope.overwrite_default_scope('mmsemi'):
        model = MODELS.build(cfg.model)
    assert model.student.decode_head.num_classes == 21
    assert cfg.model.segmentor.data_preprocessor.size == (513, 513)
    crops = [
        step.crop_size
        for part in ('labeled', 'unlabeled')
        for step in cfg.train_dataloader.dataset[part].pipeline
        if step.type == 'RandomCrop'
    ]
    assert crops == [(513, 513)] * 2
    assert [hook.type for hook in cfg.custom_hooks][-1] == 'MeanTeacherHook'


@pytest.mark.slow
def test_by_hand_trains(plain, tiny_images):
    Path('hand.py').write_text(by_hand())
    run_training('hand.py', TRAIN["mmseg's"])
