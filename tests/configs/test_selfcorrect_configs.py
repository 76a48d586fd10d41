"""The recipes of ``configs/selfcorrect``: what each stage learns from."""

import copy
import math
import re
from functools import cached_property
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.models.segmentors.semi_base import second_network
from mmsemi.recipes.config import load_config
from mmsemi.recipes.read import load_stage, read_stages
from mmsemi.registry import DATASETS, HOOKS, LOOPS, MODELS, TRANSFORMS

FOLDER = Path(__file__).resolve().parents[2] / 'configs/selfcorrect'
NAME = re.compile(
    r'(?P<method>selfcorrect-[a-z]+|em-fixed_deeplabv3plus|supervised_deeplabv3plus)'
    r'_(?P<backbone>r\d+)(w32)?-d16_(?P<gpus>\d)xb(?P<batch>\d+)-(?P<iters>\d+k?|demo)'
    r'_(?P<data>[a-z0-9-]+?)-(?P<crop>\d+x\d+)'
)


class Row:
    """A recipe and what its name says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def name(self) -> dict[str, str]:
        match = NAME.fullmatch(self.path.stem)
        assert match, self.path.name
        return match.groupdict()

    @property
    def kind(self) -> tuple[str, str]:
        return self.name['method'].split('_')[0], self.name['data'].split('-')[0]

    @cached_property
    def stages(self) -> dict[str, Config]:
        """The config of each stage, with what the parts of the data have in common."""
        recipe = read_stages(load_config(str(self.path)), 'work')
        return {stage.name: filled(stage.config()) for stage in recipe}


def filled(cfg: Config) -> Config:
    """Return a config as its data set and its method read it."""
    whole = cfg.to_dict()
    data = whole['train_dataloader']['dataset']
    parts = {name: part for name, part in data.items() if isinstance(part, dict)}
    split, root = data.pop('split'), data.pop('data_root', None)
    data.update(fill_parts(parts, split, root))
    model = whole['model']
    if 'ancillary' in model:
        network = second_network(model['segmentor'], model['ancillary'])
        model['ancillary'] = network
    return Config(whole)


ALL = [Row(path) for path in sorted(FOLDER.glob('*.py'))]
STAGES = {
    'selfcorrect-ancillary': ['ancillary'],
    'selfcorrect-none': ['ancillary', 'primary'],
    'selfcorrect-linear': ['ancillary', 'primary'],
    'selfcorrect-conv': ['ancillary', 'correction', 'primary'],
    'em-fixed': ['primary'],
    # a plain config
    'supervised': [''],
}
SIZES = {
    'voc12aug': ['seed0-200', 'seed0-400', 'seed0-800', 'classic-1464'],
    'cityscapes': ['seed0-200', 'seed0-450', 'seed0-914'],
}
WHOLE = {'voc12aug': '10582', 'cityscapes': '2975'}
# where the paper has not all sizes
ROWS = {
    ('em-fixed', 'voc12aug'): ['classic-1464'],
    ('em-fixed', 'cityscapes'): ['seed0-914'],
    ('supervised', 'voc12aug'): ['classic-1464', '10582'],
    ('supervised', 'cityscapes'): ['2975'],
}
# classes with boxes, and all
CLASSES = dict(voc12aug=(20, 21), cityscapes=(19, 19), camvid=(11, 11), toyvoc=(6, 7))
# those that the others inherit from, and the small ones
MAINS = [
    row
    for row in ALL
    if re.search('r18|seed0-200', row.path.stem)
    or row.path.stem.startswith(('em-fixed', 'supervised'))
]
each_main = pytest.mark.parametrize('row', MAINS, ids=lambda row: row.path.stem)
pytestmark = pytest.mark.usefixtures('default_scope')


@pytest.fixture(params=ALL, ids=lambda row: row.path.stem)
def row(request):
    return request.param


def walk(node):
    """Yield every dict in a config."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from walk(child)


def steps_of(pipeline):
    return [step for step in walk(pipeline) if 'type' in step]


def segmentors(cfg: Config) -> list[dict]:
    """Return the networks of a stage: the only one, or primary and ancillary."""
    found = [cfg.model.get(name) for name in ('segmentor', 'ancillary')]
    return [net for net in found if net] or [cfg.model]


def kinds(pipeline: list) -> list[str]:
    return [step.type for step in steps_of(pipeline)]


def test_every_row_is_there():
    found = [(*row.kind, row.name['backbone'], row.name['data']) for row in ALL]
    expected = []
    for method in STAGES:
        for data, splits in SIZES.items():
            for split in ROWS.get((method, data), splits):
                expected.append((method, data, 'r101', f'{data}-{split}'))
        if method != 'supervised':
            expected.append((method, 'camvid', 'r18', 'camvid-12'))
            expected.append((method, 'toyvoc', 'r18', 'toyvoc'))
    assert sorted(found) == sorted(expected)


def test_stages(row):
    """A fresh network in each, but conv's last stage goes on with the second."""
    method, _ = row.kind
    stages = row.stages
    assert list(stages) == STAGES[method]
    seeds = [cfg.randomness.seed for cfg in stages.values()]
    assert seeds == list(range(len(stages)))
    starts = {name: cfg.load_from for name, cfg in stages.items()}
    last = method == 'selfcorrect-conv' and '{correction.last}'
    assert starts.pop('primary', None) == (last or None)
    assert set(starts.values()) <= {None}
    for cfg in stages.values():
        assert cfg.custom_hooks[0].type == 'ExactResumeHook'
        hooks = [hook.type for hook in cfg.custom_hooks[1:]]
        in_time = cfg.model.get('mode') in ('none', 'linear')
        assert hooks == (['SetIterHook'] if in_time else [])


def test_models(row):
    method, data = row.kind
    boxes, classes = CLASSES[data]
    for name, cfg in row.stages.items():
        model = cfg.model
        assert model.type == (
            'BoxConditionedSegmentor'
            if name == 'ancillary'
            else 'EncoderDecoder'
            if method == 'supervised'
            else 'SelfCorrect'
        )
        for net in segmentors(cfg):
            assert net.backbone.depth == int(row.name['backbone'][1:])
            assert 4 * math.prod(net.backbone.strides) == 16
            assert net.decode_head.num_classes == classes
            sees_boxes = net.type == 'BoxConditionedSegmentor'
            assert net.decode_head.get('num_box_classes') == (
                boxes if sees_boxes else None
            )
            assert net.decode_head.type == (
                'BoxConditionedHead' if sees_boxes else 'DepthwiseSeparableASPPHead'
            )
            size = 'x'.join(map(str, net.data_preprocessor.size))
            assert size == row.name['crop']
        if model.type != 'SelfCorrect':
            continue
        assert model.mode == method.removeprefix('selfcorrect-')
        assert ('ancillary' in model) == (model.mode != 'em-fixed')
        checkpoint = model.get('ancillary_checkpoint')
        holds = model.mode == 'em-fixed' or cfg.load_from
        assert checkpoint == (None if holds else '{ancillary.last}')
        assert model.get('weak_weight', 1.0) == float(name == 'primary')
        if model.mode == 'em-fixed':
            assert model.num_box_classes == boxes
            assert (model.bg_bias, model.fg_bias) == (5, 6)
        if model.mode == 'linear':
            assert (model.alpha_start, model.alpha_end) == (30, 0.5)


def test_mixture_and_length(row):
    _, data = row.kind
    big = data in SIZES
    length = {'toyvoc': 1000, 'camvid': 2500}.get(data, 30000)
    per_gpu = 4 if big else 8
    for name, cfg in row.stages.items():
        loader = cfg.train_dataloader
        mixed = name == 'primary'
        half = 2 if big else 8
        expected = dict(labeled=half, weak=half) if mixed else dict(labeled=per_gpu)
        assert loader.sampler.num_per_source == expected
        assert loader.batch_size == sum(expected.values())
        assert set(loader.dataset) - {'type'} == set(expected)
        assert cfg.train_cfg.max_iters == length
        assert 'max_epochs' not in cfg.train_cfg
        assert cfg.param_scheduler[-1].get('end') is None
    assert loader.batch_size == int(row.name['batch'])
    if big:
        assert int(row.name['gpus']) * int(row.name['batch']) == 16
        optimizer = dict(cfg.optim_wrapper.optimizer)
        expected = dict(type='SGD', lr=0.007, momentum=0.9, weight_decay=0.0001)
        assert optimizer == expected and 'paramwise_cfg' not in cfg.optim_wrapper
        assert row.name['iters'] == '30k'


def test_lists(row):
    method, _ = row.kind
    split = load_config(str(row.path)).train_dataloader.dataset.split
    for name, cfg in row.stages.items():
        parts = cfg.train_dataloader.dataset
        half = method == 'selfcorrect-conv' and name == 'ancillary'
        expected = f'{split}/half/labeled.txt' if half else f'{split}/labeled.txt'
        if row.name['data'].split('-')[-1] in WHOLE.values():
            everything = 'ImageSets/Segmentation/trainaug.txt', 'train.txt'
            assert parts.labeled.ann_file in everything
        else:
            assert parts.labeled.ann_file == expected
            if row.name['data'] != 'toyvoc':
                family = split.removeprefix('splits/').replace('/', '-')
                assert row.name['data'].split('-', 1)[1] == family
        if 'weak' in parts:
            weak = parts.weak
            assert weak.ann_file == f'{split}/unlabeled.txt'
            for key in ('data_root', 'data_prefix.img_path'):
                one, other = (
                    Config(dict(part)).get(key.split('.')[0])
                    for part in (parts.labeled, weak)
                )
                if isinstance(one, dict):
                    one, other = one['img_path'], other['img_path']
                assert one == other


def test_pipelines(row):
    """F opens boxes only where they are used, W no mask, validation as it must."""
    method, data = row.kind
    crop = tuple(map(int, row.name['crop'].split('x')))
    for name, cfg in row.stages.items():
        parts = cfg.train_dataloader.dataset
        mixed = 'segmentor' in cfg.model
        for part_name in set(parts) - {'type'}:
            pipeline = parts[part_name].pipeline
            steps = kinds(pipeline)
            plain = method == 'supervised'
            assert ('LoadBoxes' in steps) == (not plain)
            assert ('LoadAnnotations' in steps) == (part_name == 'labeled')
            assert ('MultiBranch' in steps) == mixed
            if not plain:
                assert steps.index('LoadBoxes') == 1 and 'RandomCrop' not in steps
                assert steps[-1] == 'PackSemiInputs'
            crops = [s.crop_size for s in steps_of(pipeline) if 'crop_size' in s]
            assert [tuple(size) for size in crops] == [crop]
            if mixed:
                branch = dict(labeled='sup', weak='weak')[part_name]
                assert set(pipeline[-1]) == {'type', branch}
        assert (cfg.train_dataloader.get('collate_fn') is not None) == mixed
        sees = name == 'ancillary'
        for pipeline in (
            cfg.val_dataloader.dataset.pipeline,
            cfg.test_dataloader.dataset.pipeline,
            cfg.tta_pipeline,
        ):
            steps = kinds(pipeline)
            assert ('LoadBoxes' in steps) == sees
            assert ('PackSemiInputs' in steps) == sees
        views = cfg.tta_pipeline[-1].transforms
        assert len(views[0]) * len(views[1]) == (8 if data == 'camvid' else 12)


def test_validation_has_boxes_of_its_own():
    for data, folder in (('camvid', 'boxes_val.json'), ('cityscapes', 'gtFine/val')):
        row = next(x for x in ALL if x.kind == ('selfcorrect-ancillary', data))
        (cfg,) = row.stages.values()
        train, val = (
            next(s for s in steps_of(pipeline) if s.type == 'LoadBoxes')
            for pipeline in (
                cfg.train_dataloader.dataset.labeled.pipeline,
                cfg.val_dataloader.dataset.pipeline,
            )
        )
        assert val.path.endswith(folder) and not train.path.endswith(folder)
        assert val.img_folder.endswith(cfg.val_dataloader.dataset.data_prefix.img_path)


def test_the_correction_can_be_tested_with_boxes(tmp_path):
    """By the config of the README."""
    line = 'primary=dict(test_dataloader=_base_.stages.ancillary.test_dataloader)'
    assert f'stages = dict({line})' in (FOLDER / 'README.md').read_text()
    for data in CLASSES:
        row = next(row for row in ALL if row.kind == ('selfcorrect-conv', data))
        path = tmp_path / f'{data}.py'
        path.write_text(f'_base_ = {str(row.path)!r}\nstages = dict({line})\n')
        cfg = load_stage(str(path))
        assert 'LoadBoxes' in kinds(cfg.test_dataloader.dataset.pipeline)
        assert 'LoadBoxes' not in kinds(cfg.val_dataloader.dataset.pipeline)


@each_main
def test_data_may_lie_elsewhere(row):
    """A link moves all of them, one option all lists."""
    roots = dict(
        voc12aug='data/VOCdevkit/VOC2012/',
        cityscapes='data/cityscapes/',
        camvid='data/camvid/',
        toyvoc='data/toyvoc/',
    )
    root = roots[row.kind[1]]
    for name in row.stages:
        whole = row.name['data'].split('-')[-1] in WHOLE.values()
        options = {} if whole else {'train_dataloader.dataset.split': 'mine'}
        cfg = filled(load_stage(str(row.path), options, name or None))
        nodes = [cfg.train_dataloader, cfg.val_dataloader, cfg.tta_pipeline]
        assert {node['data_root'] for node in walk(nodes) if 'data_root' in node} == {
            root
        }
        if not whole:
            parts = list(cfg.train_dataloader.dataset.values())
            lists = [part['ann_file'] for part in walk(parts) if 'ann_file' in part]
            assert lists and all(path.startswith('mine/') for path in lists)
        for step in walk(nodes):
            if step.get('type') == 'LoadBoxes':
                assert step['path'].startswith(root)
                assert step.get('img_folder', root).startswith(root)


def shrink(cfg: Config) -> dict:
    """Return the model 8 channels wide, without weights to load."""
    model = copy.deepcopy(cfg.model.to_dict())
    model.pop('ancillary_checkpoint', None)
    nets = [model.get(name) for name in ('segmentor', 'ancillary')]
    for net in [net for net in nets if net] or [model]:
        net['backbone'].pop('init_cfg', None)
        net['backbone'].update(depth=18, stem_channels=8, base_channels=8)
        head = net['decode_head']
        head.update(in_channels=64, channels=8, c1_in_channels=8, c1_channels=4)
        net['data_preprocessor']['size'] = (33, 33)
    return model


def sample(classes: int, boxes: int) -> SegDataSample:
    made = SegDataSample(metainfo=dict(box_classes=('',) * boxes))
    made.gt_sem_seg = PixelData(data=torch.randint(0, classes, (1, 33, 33)))
    made.valid = PixelData(data=torch.ones(1, 33, 33, dtype=torch.bool))
    made.gt_instances = InstanceData(
        bboxes=torch.tensor([[2.0, 3, 20, 30]]),
        labels=torch.tensor([boxes]),
        areas=torch.tensor([486.0]),
    )
    return made


@each_main
def test_each_stage_builds_and_takes_a_step(row):
    _, data = row.kind
    boxes, classes = CLASSES[data]
    for name, cfg in row.stages.items():
        torch.manual_seed(0)
        model = revert_sync_batchnorm(MODELS.build(shrink(cfg)))
        build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
        for hook in cfg.custom_hooks:
            HOOKS.build(copy.deepcopy(hook))
        nodes = [cfg.train_dataloader.dataset, cfg.val_dataloader, cfg.tta_pipeline]
        for step in steps_of(nodes):
            # COCO's JSON is read when it is built
            if step.get('format') != 'coco' and TRANSFORMS.get(step['type']):
                TRANSFORMS.build(copy.deepcopy(step))
        for part in [
            *cfg.train_dataloader.dataset.values(),
            cfg.val_dataloader.dataset,
        ]:
            assert isinstance(part, str) or DATASETS.get(part.type)
        for loop in (cfg.train_cfg, cfg.val_cfg, cfg.test_cfg):
            assert LOOPS.get(loop.type) is not None
        inputs = torch.randn(2, 3, 33, 33)
        samples = [sample(classes, boxes) for _ in range(2)]
        if 'segmentor' in cfg.model:
            branches = ('sup', 'weak') if name == 'primary' else ('sup',)
            assert model.branches == branches
            inputs = dict.fromkeys(branches, inputs)
            samples = dict.fromkeys(branches, samples)
            model.set_iter(1, 10)
        model.train()
        total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
        total.backward()
        assert torch.isfinite(total)
        idle = {n for n, p in model.named_parameters() if p.grad is None}
        assert {n.split('.')[0] for n in idle} <= {'ancillary'}, (row.path.stem, name)


def test_readme_and_metafile_list_every_config():
    names = {row.path.name for row in ALL}
    readme = (FOLDER / 'README.md').read_text()
    assert set(re.findall(r'\]\(([^)/]+\.py)\)', readme)) == names
    for link in re.findall(r'\]\((\.\.?/[^)#]+)', readme):
        assert (FOLDER / link).exists(), link
    meta = load(FOLDER / 'metafile.yaml')
    files = [f'configs/selfcorrect/{name}' for name in sorted(names)]
    assert [model['Config'] for model in meta['Models']] == files
    collections = {collection['Name'] for collection in meta['Collections']}
    for model in meta['Models']:
        assert f'{model["Name"]}.py' == model['Config'].rsplit('/')[-1]
        assert model['In Collection'] in collections
