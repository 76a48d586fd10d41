"""Every config of ``configs/``: its name, its numbers, its place in the lists."""

import ast
import inspect
import math
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio import load

import mmsemi
from mmsemi.engine.runner.multi_source_train_loop import resolve_schedules
from mmsemi.models.utils import lengths
from mmsemi.registry import DATASETS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
METHODS = {
    'u2pl': 'U2PL',
    'supervised': 'EncoderDecoder',
    'mean-teacher': 'MeanTeacher',
    'cutmix-seg': 'MeanTeacher',
    'fixmatch': 'FixMatch',
    'cps': 'CPS',
    'cps-cutmix': 'CPS',
    'unimatch': 'UniMatch',
    'st': 'EncoderDecoder',
    'stpp': 'EncoderDecoder',
    'bst': 'BST',
    'lpl': 'EncoderDecoder',
}
OTHERS = {
    'mit-b0': ('MixVisionTransformer', 'segformer', 'SegformerHead'),
    'convnext-tiny': ('mmpretrain.ConvNeXt', 'upernet', 'UPerHead'),
}
TAUGHT = ('U2PL', 'MeanTeacher')
# U2PL: 80 epochs (VOC) and 200 epochs (Cityscapes) of the unlabelled images.
STEPS = {
    'voc12aug-classic': {92: 52400, 183: 52000, 366: 51040, 732: 49200, 1464: 45600},
    'voc12aug-blender': {662: 49600, 1323: 46240, 2646: 39680, 5291: 26400},
    'cityscapes': {186: 34800, 372: 32600, 744: 27800, 1488: 18600},
}
TOTAL = {'voc12aug': 10582, 'cityscapes': 2975}

pytestmark = pytest.mark.usefixtures('default_scope')


def chain(path):
    """Return how many files stand on one another, this one included."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            bases = ast.literal_eval(node.value)
            bases = [bases] if isinstance(bases, str) else bases
            return 1 + max(chain((path.parent / base).resolve()) for base in bases)
    return 1


def test_bases_are_near_and_our_own():
    for path in CONFIGS.rglob('*.py'):
        assert '::' not in path.read_text(), path
        assert chain(path) <= 5, path


def test_a_row_is_its_base_and_what_it_changes(leaf):
    text = leaf.path.read_text()
    base = re.match(r"_base_ = '\./(.+)'\n", text)
    if base is None:
        return
    assert len(text.splitlines()) <= 5
    # another network has a main config of its own
    main = type(leaf)(leaf.path.with_name(base[1]))
    assert leaf.name['backbone'] == main.name['backbone']


def test_name_tells_the_network(leaf):
    model, backbone = leaf.cfg.model, leaf.segmentor.backbone
    assert model.type == METHODS[leaf.name['method']]
    assert model.get('cutmix', False) == ('cutmix' in leaf.name['method'])
    if leaf.name['backbone'] in OTHERS:
        kinds = OTHERS[leaf.name['backbone']]
        assert (backbone.type, leaf.name['head'], leaf.heads[0].type) == kinds
        assert leaf.name['stride'] == '32'
        return
    assert backbone.depth == int(leaf.name['backbone'][1:])
    assert 4 * math.prod(backbone.strides) == int(leaf.name['stride'])
    if 'init_cfg' in backbone:
        weights = f'open-mmlab://resnet{backbone.depth}_v1c'
        if leaf.is_self_training and leaf.released_head:
            weights = f'torchvision://resnet{backbone.depth}'
        assert backbone.init_cfg.checkpoint == weights
    head = 'U2PLHead' if leaf.own_decoder else 'DepthwiseSeparableASPPHead'
    assert leaf.heads[0].type == (leaf.released_head or head)


def test_name_tells_crop_batch_and_length(leaf):
    name, loader = leaf.name, leaf.cfg.train_dataloader
    size, steps = leaf.segmentor.data_preprocessor.size, leaf.length
    assert 'x'.join(map(str, size)) == name['crop']
    assert loader.batch_size == int(name['batch'])
    assert loader.batch_size == sum(loader.sampler.num_per_source.values())
    thousands = f'{round(steps / 1000)}k' if steps >= 1000 else ''
    assert name['iters'] in (str(steps), thousands, 'demo')
    for scheduler in leaf.cfg.param_scheduler:
        if scheduler.type == 'PolyLR':
            # the runner fills a missing end with the length of the training
            assert scheduler.get('end', steps) == steps


def test_shares_of_the_small_trainings(leaf):
    """ToyVOC and CamVid: each length in steps, and all of them in a short training."""
    small = {'demo': (1000, 30, 400, 200), '2500': (2500, 100, 500, 500)}
    if leaf.name['iters'] not in small:
        return
    length, warm, alone, interval = small[leaf.name['iters']]
    for cfg in [stage.config() for stage in leaf.stages] or [leaf.cfg]:
        assert cfg.train_cfg.type == 'MultiSourceTrainLoop'
        assert cfg.train_cfg.max_iters == length
        for total, part in ((length, 1), (length // 25, 25)):
            first, second = resolve_schedules(cfg.param_scheduler, total)
            assert (first.begin, second.get('end', total)) == (0, total)
            assert first.end == second.begin == max(2, warm // part)
            assert lengths.steps(cfg.train_cfg.val_interval, total) == interval // part
            checkpoint = cfg.default_hooks.checkpoint.interval
            assert lengths.steps(checkpoint, total) == interval // part
            if leaf.name['method'] in ('u2pl', 'cps', 'cps-cutmix'):
                assert lengths.steps(cfg.model.warmup_iters, total) == alone // part
            if leaf.name['method'] in ('mean-teacher', 'cutmix-seg'):
                assert lengths.steps(cfg.model.rampup_iters, total) == total // 5


def test_name_tells_the_split(leaf):
    sources = leaf.sources
    ann_file = sources['labeled'].ann_file
    folder = ann_file.removesuffix('/labeled.txt')
    if 'unlabeled' in sources:
        assert sources['unlabeled'].ann_file == f'{folder}/unlabeled.txt'
        assert sources['unlabeled'].data_root == sources['labeled'].data_root
        prefixes = {part.data_prefix.img_path for part in sources.values()}
        assert len(prefixes) == 1
    if ann_file.startswith('splits/') and leaf.name['iters'] != 'demo':
        split = folder.removeprefix('splits/').replace('/', '-')
        assert leaf.name['data'].split('-', 1)[1] == split


def test_listed_images_have_the_suffix_of_the_labeled_ones(leaf):
    if 'unlabeled' in leaf.sources:
        labeled = leaf.sources['labeled'].type
        default = inspect.signature(DATASETS.get(labeled)).parameters['img_suffix']
        suffix = leaf.sources['unlabeled'].get('img_suffix', '.jpg')
        assert suffix == default.default


def test_crops_and_classes_fit(leaf):
    size = tuple(leaf.segmentor.data_preprocessor.size)
    for part in leaf.sources.values():
        steps = leaf.steps(part.pipeline)
        crops = [tuple(s.crop_size) for s in steps if s.type == 'RandomCrop']
        assert crops == [size]
        loads_mask = any(s.type == 'LoadAnnotations' for s in steps)
        assert loads_mask == (part.type != 'UnlabeledDataset')
    for part in [leaf.sources['labeled'], leaf.cfg.val_dataloader.dataset]:
        classes = len(DATASETS.get(part.type).METAINFO['classes'])
        assert {head.num_classes for head in leaf.heads} == {classes}
    test_cfg = leaf.segmentor.test_cfg
    if test_cfg.mode == 'slide':
        assert tuple(test_cfg.crop_size) == size


def test_hooks_fit_the_method(leaf):
    cfg = leaf.cfg
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    assert 'ExactResumeHook' in hooks
    assert cfg.randomness.seed is not None
    taught = cfg.model.type in TAUGHT
    assert ('MeanTeacherHook' in hooks) == taught
    assert ('SetIterHook' in hooks) == (taught or 'warmup_iters' in cfg.model)
    if taught:
        # left out, it follows
        warmup = cfg.model.get('warmup_iters', 0)
        assert hooks['MeanTeacherHook'].get('start_iter', warmup) == warmup
    # DDP must know of the representation that only U2PL's loss reads.
    idle = leaf.heads[0].type == 'U2PLHead' and cfg.model.type != 'U2PL'
    assert cfg.get('find_unused_parameters', False) == idle


@pytest.mark.parametrize('method', ['u2pl', 'mean-teacher', 'cutmix-seg', 'supervised'])
def test_every_protocol_has_its_config(leaves, method):
    found = {data: {} for data in STEPS}
    for leaf in leaves:
        if leaf.name['method'] == method and leaf.own_decoder:
            assert leaf.name['backbone'] == 'r101'
            data, n = leaf.name['data'].rsplit('-', 1)
            found[data][int(n)] = leaf
    for data, steps in STEPS.items():
        assert set(found[data]) == set(steps)
        for n, leaf in found[data].items():
            check_protocol(leaf, data.split('-')[0], n, steps[n])


def check_protocol(leaf, data, n, published_steps):
    cfg, is_voc = leaf.cfg, data == 'voc12aug'
    epochs, gpus, per_gpu = (80, 4, 4) if is_voc else (200, 8, 2)
    # each GPU has an equal share of the images and drops its last, partial batch
    per_epoch = math.ceil((TOTAL[data] - n) / gpus) // per_gpu
    assert published_steps == epochs * per_epoch
    images = int(leaf.name['gpus']) * int(leaf.name['batch'])
    if cfg.model.type == 'EncoderDecoder':
        assert leaf.length == epochs * math.ceil(n / 16)
        assert images == 16
    else:
        assert leaf.length == published_steps
        assert cfg.train_dataloader.sampler.num_per_source.labeled == per_gpu
        assert images == 32
    if cfg.model.type == 'U2PL':
        warmup = lengths.steps(cfg.model.get('warmup_iters', 0), leaf.length)
        assert warmup == (per_epoch if is_voc else 0)
    optimizer = cfg.optim_wrapper.optimizer
    rates = (0.001, 0.0001) if is_voc else (0.01, 0.0005)
    assert (optimizer.lr, optimizer.weight_decay) == rates


def test_readme_and_metafile_list_every_leaf(leaves):
    for folder in {leaf.path.parent for leaf in leaves}:
        names = {leaf.path.name for leaf in leaves if leaf.path.parent == folder}
        readme = (folder / 'README.md').read_text()
        assert set(re.findall(r'\]\(([^)/]+\.py)\)', readme)) == names
        meta = load(folder / 'metafile.yaml')
        files = [f'configs/{folder.name}/{name}' for name in sorted(names)]
        assert sorted(model['Config'] for model in meta['Models']) == files
        collections = {collection['Name'] for collection in meta['Collections']}
        for model in meta['Models']:
            assert model['Name'] == Path(model['Config']).stem
            assert model['In Collection'] in collections


def test_a_users_config_inherits_by_package_name(tmp_path):
    if not (Path(mmsemi.__file__).parent / '.mim' / 'configs').exists():
        pytest.skip('mmsemi is not installed: no mmsemi/.mim')
    text = (CONFIGS.parent / 'docs/configs.md').read_text()
    examples = []
    for number, block in enumerate(re.findall(r'```python\n(.*?)```', text, re.DOTALL)):
        user = tmp_path / f'user{number}.py'
        user.write_text(block)
        examples.append(Config.fromfile(user))
    from_leaf, from_parts = examples
    assert from_leaf.model.type == from_parts.model.type == 'U2PL'
    assert from_leaf.model.segmentor.backbone.depth == 50
    assert from_leaf.model.segmentor.decode_head.type == 'U2PLHead'
    sources = from_leaf.train_dataloader.dataset
    assert sources.split == 'splits/seed1/200'
    assert 'ann_file' not in sources.labeled and 'ann_file' not in sources.unlabeled
    assert sources.labeled.data_prefix.seg_map_path == 'SegmentationClassAug'
    assert from_parts.model.segmentor.decode_head.num_classes == 150
    assert from_parts.optim_wrapper.optimizer.type == 'SGD'
