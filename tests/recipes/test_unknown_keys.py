import copy
import re
from pathlib import Path
from typing import Any

import mmseg
import pytest
from mmengine.config import Config

from mmsemi.recipes.config import load_config
from mmsemi.recipes.read import read_stages
from mmsemi.recipes.unknown_keys import check_keys, nearest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
U2PL = 'u2pl/u2pl_deeplabv3plus_r18-d16_1xb16-2500_camvid-12-160x160.py'
CONVNEXT = 'u2pl/u2pl_upernet_convnext-tiny-d32_1xb16-2500_camvid-12-160x160.py'
BRANCH = 'train_dataloader.dataset.unlabeled.pipeline.{}.unsup_student.0'

# where, the misspelt key, whose it is, the right one
MISSPELT = [
    ('', 'trian_dataloader', 'key of a training', 'train_dataloader'),
    ('', 'custom_hook', 'key of a training', 'custom_hooks'),
    ('', 'optim_wraper', 'key of a training', 'optim_wrapper'),
    ('', 'param_schedulers', 'key of a training', 'param_scheduler'),
    ('', 'find_unused_parameter', 'key of a training', 'find_unused_parameters'),
    ('train_dataloader', 'num_worker', 'key of train_dataloader', 'num_workers'),
    ('train_dataloader', 'colate_fn', 'key of train_dataloader', 'collate_fn'),
    (
        'train_dataloader.sampler',
        'num_per_sources',
        'argument of MultiSourceSampler',
        'num_per_source',
    ),
    (
        'train_dataloader.dataset',
        'alow_overlap',
        'argument of MultiSourceDataset',
        'allow_overlap',
    ),
    (
        'train_dataloader.dataset.labeled',
        'ann_fiel',
        'argument of CamVidDataset',
        'ann_file',
    ),
    (
        'train_dataloader.dataset.labeled.data_prefix',
        'seg_map_pth',
        None,
        'seg_map_path',
    ),
    (
        'train_dataloader.dataset.unlabeled',
        'img_sufix',
        'argument of UnlabeledDataset',
        'img_suffix',
    ),
    ('val_dataloader.sampler', 'shufle', 'argument of DefaultSampler', 'shuffle'),
    (
        'val_dataloader.dataset.pipeline.0',
        'imdecode_backed',
        'argument of LoadImageFromFile',
        'imdecode_backend',
    ),
    ('model', 'temperatur', 'argument of U2PL', 'temperature'),
    # through **kwargs to SemiBaseSegmentor
    ('model', 'predicton', 'argument of U2PL', 'predict_on'),
    (
        'model.segmentor',
        'auxilary_head',
        'argument of EncoderDecoder',
        'auxiliary_head',
    ),
    # through **kwargs to ResNet
    ('model.segmentor.backbone', 'norm_evl', 'argument of ResNetV1c', 'norm_eval'),
    ('model.segmentor.backbone.norm_cfg', 'require_grad', None, 'requires_grad'),
    # to ASPPHead, to BaseDecodeHead
    ('model.segmentor.decode_head', 'dilation', None, 'dilations'),
    ('model.segmentor.decode_head', 'dropout_ration', None, 'dropout_ratio'),
    (
        'model.segmentor.decode_head.loss_decode',
        'avg_non_ignored',
        'argument of CrossEntropyLoss',
        'avg_non_ignore',
    ),
    (
        'model.segmentor.data_preprocessor',
        'bgr2rgb',
        'argument of SegDataPreProcessor',
        'bgr_to_rgb',
    ),
    ('model.segmentor.test_cfg', 'crop_sise', None, 'crop_size'),
    ('default_hooks.logger', 'intervall', 'argument of LoggerHook', 'interval'),
    (
        'default_hooks.checkpoint',
        'max_keep_ckpt',
        'argument of AtomicCheckpointHook',
        'max_keep_ckpts',
    ),
    ('optim_wrapper', 'clip_gard', 'argument of OptimWrapper', 'clip_grad'),
    ('optim_wrapper.optimizer', 'weigth_decay', 'argument of AdamW', 'weight_decay'),
    ('train_cfg', 'val_intervall', 'argument of MultiSourceTrainLoop', 'val_interval'),
    # which takes **kwargs and drops them
    ('val_evaluator', 'iou_metric', 'argument of IoUMetric', 'iou_metrics'),
    ('env_cfg', 'cudnn_bench', 'key of env_cfg', 'cudnn_benchmark'),
    ('env_cfg.mp_cfg', 'mp_start_metod', None, 'mp_start_method'),
    ('randomness', 'determinstic', 'key of randomness', 'deterministic'),
    ('log_processor', 'by_epok', 'argument of LogProcessor', 'by_epoch'),
    ('visualizer', 'vis_backend', 'argument of SegLocalVisualizer', 'vis_backends'),
]


@pytest.fixture(scope='module')
def whole() -> dict:
    return load_config(str(CONFIGS / U2PL)).to_dict()


def put(config: dict, key: str, value: Any, instead_of: str = '') -> Config:
    """Return a config with one more value, at a path of keys and indices."""
    config = copy.deepcopy(config)
    place: Any = config
    *path, last = key.split('.')
    for name in path:
        place = place[int(name) if isinstance(place, list) else name]
    if instead_of:
        place.pop(instead_of, None)
    place[last] = value
    return Config(config)


def refusal(config: dict | Config) -> str:
    with pytest.raises(ValueError) as error:
        check_keys(Config(config) if isinstance(config, dict) else config, 'a.py')
    return str(error.value)


@pytest.mark.parametrize(
    ('place', 'key', 'owner', 'right'), MISSPELT, ids=lambda value: str(value)
)
def test_misspelt(
    whole: dict, place: str, key: str, owner: str | None, right: str
) -> None:
    path = f'{place}.{key}'.lstrip('.')
    # what takes any key refuses a near miss of one that is not given
    first, *rest = refusal(put(whole, path, 1, right if place else '')).splitlines()
    assert first == 'a.py has keys that nothing reads:'
    assert len(rest) == 1
    said = owner if owner else '(argument|key) of .*'
    assert re.fullmatch(f'  {path} is no {said}: did you mean {right}\\?', rest[0])


def test_misspelt_in_lists(whole: dict) -> None:
    config = put(whole, 'custom_hooks.0.prioriti', 'LOW')
    assert 'custom_hooks.0.prioriti is no argument of ' in refusal(config)
    assert 'did you mean priority?' in refusal(config)
    config = put(whole, 'param_scheduler.1.powr', 1)
    assert 'param_scheduler.1.powr is no argument of PolyLR' in refusal(config)
    pipeline = whole['train_dataloader']['dataset']['unlabeled']['pipeline']
    at = next(i for i, t in enumerate(pipeline) if t['type'] == 'MultiBranch')
    step = pipeline[at]['unsup_student'][0]['type']
    path = f'{BRANCH.format(at)}.zzz'
    assert f'{path} is no argument of {step}: choose from ' in refusal(
        put(whole, path, 1)
    )


def test_part_without_type_is_refused(whole: dict) -> None:
    """A leaf that misspells a part makes a second one of it."""
    config = put(whole, 'train_dataloader.dataset.label', dict(ann_file='a.txt'))
    assert (
        'train_dataloader.dataset.label is no argument of MultiSourceDataset: did you '
        'mean labeled?'
    ) in refusal(config)


def test_part_of_any_name_is_right(whole: dict) -> None:
    part = whole['train_dataloader']['dataset']['labeled']
    check_keys(put(whole, 'train_dataloader.dataset.tagged', part), 'a.py')


def test_all_are_named_at_once(whole: dict) -> None:
    config = put(whole, 'model.temperatur', 1).to_dict()
    lines = refusal(put(config, 'optim_wrapper.optimizer.rl', 1)).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        'model.temperatur',
        'optim_wrapper.optimizer.rl',
    ]


def test_paramwise_cfg() -> None:
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
    paramwise = dict(bias_lr_mul=2.0, custom_keys={'decode_head': dict(lr_mul=10.0)})
    text = refusal(dict(optim_wrapper=dict(wrapper, paramwise_cfg=paramwise)))
    assert 'paramwise_cfg.bias_lr_mul is no key of' in text
    assert 'did you mean bias_lr_mult?' in text
    assert 'custom_keys.decode_head.lr_mul is no key of' in text
    assert 'did you mean lr_mult?' in text
    # mmengine puts others into the parameter group
    paramwise = dict(custom_keys={'decode_head': dict(lr_mult=10.0, momentum=0.5)})
    check_keys(Config(dict(optim_wrapper=dict(wrapper, paramwise_cfg=paramwise))), 'a')


def test_layer_decay() -> None:
    optimizer = dict(type='SGD', lr=0.1)
    paramwise = dict(constructor='X', decay_rat=0.9, num_layers=12, anything=1)
    wrapper = dict(optimizer=optimizer, constructor='Y', paramwise_cfg=paramwise)
    _, line = refusal(dict(optim_wrapper=wrapper)).splitlines()
    assert 'paramwise_cfg.decay_rat is no key of' in line
    assert line.endswith('did you mean decay_rate?')


def test_type_of_another_package() -> None:
    config = load_config(str(CONFIGS / CONVNEXT)).to_dict()
    key = 'model.segmentor.backbone.drop_path_rat'
    text = refusal(put(config, key, 0.1, 'drop_path_rate'))
    assert f'{key} is no argument of ConvNeXt: did you mean drop_path_rate?' in text


def test_several_optimizers() -> None:
    one = dict(optimizer=dict(type='SGD', lr=0.1))
    two = dict(optimizer=dict(type='SGD', rl=0.1))
    text = refusal(dict(optim_wrapper=dict(constructor='X', one=one, two=two)))
    assert '  optim_wrapper.two.optimizer.rl is no argument of SGD' in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ('key', 'given', 'wrong', 'right'),
    [
        ('tta_pipeline', 'RandomResize', 'keep_ration', 'keep_ratio'),
        ('custom_hooks', 'EMAHook', 'momentun', 'momentum'),
        ('custom_hooks', 'CheckpointHook', 'max_keep_ckpt', 'max_keep_ckpts'),
    ],
)
def test_arguments_handed_on(key: str, given: str, wrong: str, right: str) -> None:
    """A leaf gives the wrong key beside the right one of its base."""
    item = {'type': given, right: 1}
    check_keys(Config({key: [item]}), 'a.py')
    _, line = refusal({key: [{**item, wrong: 2}]}).splitlines()
    assert line == f'  {key}.0.{wrong} is no argument of {given}: did you mean {right}?'


def test_hook_that_labels() -> None:
    """Its data set needs no type."""
    hook = dict(type='PseudoLabelHook', dataset=dict(data_rot='data'))
    text = refusal(dict(default_scope='mmsemi', custom_hooks=[hook]))
    assert 'custom_hooks.0.dataset.data_rot is no argument of UnlabeledDataset' in text


def test_scopes() -> None:
    """A type is looked up as mmengine would."""
    head = dict(type='ASPPHead', dilation=(1, 2))
    text = refusal(dict(default_scope='mmseg', model=dict(head)))
    assert 'model.dilation is no argument of ASPPHead' in text
    # without a scope mmengine does not know it, which is the registry's to say
    check_keys(Config(dict(model=dict(head))), 'a.py')
    for scoped in (dict(head, _scope_='mmseg'), dict(head, type='mmseg.ASPPHead')):
        assert 'model.dilation is no argument of' in refusal(dict(model=scoped))


def test_what_cannot_be_known_passes() -> None:
    config = dict(
        default_scope='mmsemi',
        data_root='x',
        train_pipeline=[],
        optimizer=dict(type='SGD'),
        model=dict(type='NoSuchNet', bad=1, neck=dict(_delete_=True, worse=2)),
        custom_hooks=[dict(type='EMAHook', momentum=0.1, priority='LOW')],
        tta_pipeline=[dict(type='Albu', transforms=[dict(type='RandomCrop', p=1)])],
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=1, norm_type=2)
        ),
    )
    check_keys(Config(config), 'a.py')


def test_nearest() -> None:
    assert nearest('ann_fiel', ['ann_file', 'data_root']) == 'did you mean ann_file?'
    assert nearest('abcxy', ['abcde', 'abcfg']) == 'did you mean abcfg or abcde?'
    assert nearest('zzz', ['b', 'a']) == 'choose from a, b'


def test_our_configs() -> None:
    """None of ours is refused where it is read: the small, and each twelfth other."""
    for i, path in enumerate(sorted(CONFIGS.glob('[!_]*/*.py'))):
        if i % 12 and 'toyvoc' not in path.name:
            continue
        for stage in read_stages(load_config(str(path)), 'work'):
            check_keys(stage.config(), path.name)


def test_configs_of_mmseg() -> None:
    """None of mmseg's is refused, but one that has ``models`` for ``model``."""
    folder = Path(mmseg.__file__).parent / '.mim' / 'configs'
    paths = sorted(path for path in folder.glob('[!_]*/*.py'))[::12]
    if not paths:
        pytest.skip('mmseg is installed without its configs')
    for path in paths:
        try:
            config = Config.fromfile(path)
        except ImportError:  # of a package that is not there
            continue
        if 'models' not in config:
            check_keys(config, path.name)
