"""Types are found by name, from mmsemi's scope and from mmseg's."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest
from mmcv.transforms import BaseTransform
from mmengine import registry as mmengine_registry
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import (
    BaseDataPreprocessor,
    BaseModel,
    MMDistributedDataParallel,
)
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import BaseLoop
from mmseg import registry as mmseg_registry
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch.utils.data import Sampler

from mmsemi import registry

NODES = [
    name for name, value in vars(mmseg_registry).items() if isinstance(value, Registry)
]

# Of each node: types of mmsemi, and of the packages that it builds on.
OURS = {
    'MODELS': ['MeanTeacher', 'U2PL', 'MultiBranchDataPreprocessor'],
    'DATASETS': ['MultiSourceDataset', 'UnlabeledDataset'],
    'DATA_SAMPLERS': ['MultiSourceSampler'],
    'TRANSFORMS': ['MultiBranch', 'PackSemiInputs'],
    'HOOKS': ['MeanTeacherHook', 'SetIterHook', 'PseudoLabelHook'],
    'LOOPS': ['TeacherStudentValLoop'],
}
THEIRS = {
    'MODELS': ['EncoderDecoder', 'ResNetV1c', 'ASPPHead', 'SegDataPreProcessor'],
    'DATASETS': ['PascalVOCDataset', 'BaseSegDataset', 'ConcatDataset'],
    'DATA_SAMPLERS': ['InfiniteSampler'],
    'TRANSFORMS': ['PackSegInputs', 'LoadAnnotations', 'RandomResize'],
    'HOOKS': ['SegVisualizationHook', 'CheckpointHook'],
    'LOOPS': ['IterBasedTrainLoop', 'ValLoop'],
    'METRICS': ['IoUMetric'],
    'MODEL_WRAPPERS': ['MMDistributedDataParallel'],
    'VISUALIZERS': ['SegLocalVisualizer'],
    'VISBACKENDS': ['LocalVisBackend'],
    'OPTIMIZERS': ['SGD'],
    'OPTIM_WRAPPERS': ['AmpOptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['LearningRateDecayOptimizerConstructor'],
    'PARAM_SCHEDULERS': ['PolyLR'],
    'LOG_PROCESSORS': ['LogProcessor'],
    'EVALUATOR': ['Evaluator'],
    'RUNNERS': ['Runner'],
}

# As a runner builds: the root registry, switched to the default scope.
RESOLVE = """
import json, sys
import mmengine.runner
from mmengine import registry
from mmengine.registry import init_default_scope
scope, wanted = sys.argv[1], json.loads(sys.argv[2])
init_default_scope(scope)
assert 'mmsemi' not in sys.modules
found = {}
for node, names in wanted.items():
    with getattr(registry, node).switch_scope_and_registry(None) as switched:
        for name in names:
            cls = switched.get(name)
            found[name] = None if cls is None else cls.__module__
print('\\n' + json.dumps(found))
"""


def resolve(scope: str, wanted: dict[str, list[str]]) -> tuple[dict[str, str], str]:
    """Look names up in a process that never imported mmsemi."""
    command = [sys.executable, '-c', RESOLVE, scope, json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def test_every_node_of_mmseg_has_a_child():
    assert NODES
    for node in NODES:
        child = getattr(registry, node)
        parent = getattr(mmseg_registry, node)
        assert (child.parent, child.scope) == (parent, 'mmsemi')
        assert parent.parent is getattr(mmengine_registry, node)


def test_scope_mmsemi_resolves_all_without_prefix():
    wanted = {node: [*THEIRS[node], *OURS.get(node, [])] for node in THEIRS}
    found, output = resolve('mmsemi', wanted)
    for names in OURS.values():
        for name in names:
            assert found[name] is not None, f'{name} is not registered'
            assert found[name].startswith('mmsemi.'), name
    for names in THEIRS.values():
        for name in names:
            assert found[name] is not None, f'{name} does not resolve'
    # mmcv has one of this name too; mmseg's goes first.
    assert found['LoadAnnotations'].startswith('mmseg.')
    # mmengine says so where a node has no child of the scope, or no location.
    assert 'Failed to search registry' not in output
    assert 'not installed' not in output


def test_prefixed_types_resolve_in_a_plain_mmseg_process():
    wanted = {node: [f'mmsemi.{name}' for name in OURS[node]] for node in OURS}
    # Not one of ours, but found through our node of it.
    wanted['METRICS'] = ['mmsemi.IoUMetric']
    found, _ = resolve('mmseg', wanted)
    assert [name for name, module in found.items() if module is None] == []
    assert found.pop('mmsemi.IoUMetric').startswith('mmseg.')
    assert [name for name, m in found.items() if not m.startswith('mmsemi.')] == []


def submodules(package: str) -> list[ModuleType]:
    """Import all modules below a package."""
    top = importlib.import_module(package)
    walk = pkgutil.walk_packages(top.__path__, f'{package}.')
    return [top, *(importlib.import_module(info.name) for info in walk)]


BASES = {
    'MODELS': (BaseModel, BaseDecodeHead, BaseDataPreprocessor),
    'DATASETS': (BaseDataset,),
    'TRANSFORMS': (BaseTransform,),
    'DATA_SAMPLERS': (Sampler,),
    'HOOKS': (Hook,),
    'LOOPS': (BaseLoop,),
    'METRICS': (BaseMetric,),
    'MODEL_WRAPPERS': (MMDistributedDataParallel,),
    'OPTIM_WRAPPERS': (OptimWrapper,),
}


def is_base(cls: type) -> bool:
    """Return whether other classes of mmsemi derive from this one."""
    return any(sub.__module__.startswith('mmsemi.') for sub in cls.__subclasses__())


@pytest.mark.parametrize('node', BASES)
def test_every_public_class_is_registered(node):
    forgotten = []
    for module in submodules('mmsemi'):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            public = cls.__module__ == module.__name__ and not name.startswith('_')
            if not public or not issubclass(cls, BASES[node]) or is_base(cls):
                continue
            if getattr(registry, node).get(name) is not cls:
                forgotten.append(f'{module.__name__}.{name}')
    assert not forgotten, f'not in {node}: {forgotten}'


UNTOUCHED = """
import importlib, pkgutil, sys
import mmcv.transforms, mmengine.runner, mmseg.apis
for name in ('datasets', 'models', 'engine', 'evaluation', 'visualization'):
    importlib.import_module('mmseg.' + name)

def snapshot():
    state = {}
    for key, module in list(sys.modules.items()):
        if key.split('.')[0] not in ('mmseg', 'mmengine', 'mmcv'):
            continue
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == key:
                for attribute, member in vars(value).items():
                    if callable(getattr(member, '__func__', member)):
                        state[key, name, attribute] = member
            elif callable(value) and getattr(value, '__module__', None) == key:
                state[key, name] = value
    return state

before = snapshot()
import mmsemi
for info in pkgutil.walk_packages(mmsemi.__path__, 'mmsemi.'):
    importlib.import_module(info.name)
after = snapshot()
changed = [key for key, value in before.items() if after.get(key) is not value]
added = [key for key in after if key[0] + '.' + key[1] and key not in before
         and any(key[:2] == old[:2] for old in before)]
print(len(before), changed, added, sep='|')
"""


def test_importing_mmsemi_leaves_its_hosts_untouched():
    command = [sys.executable, '-c', UNTOUCHED]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, changed, added = done.stdout.strip().splitlines()[-1].split('|')
    assert int(count) > 1000
    assert (changed, added) == ('[]', '[]')
