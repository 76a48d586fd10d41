"""Child registries of mmseg's nodes, scope ``mmsemi``.

Each node lists the locations of mmseg and of mmsemi, so that

* under ``default_scope = 'mmsemi'`` every type of mmseg and mmsemi resolves
  without a prefix, and
* ``type='mmsemi.U2PL'`` works in any mmseg config without ``custom_imports``.

Every node of mmseg has its child: under ``default_scope = 'mmsemi'`` mmengine looks
for a child of that scope, and would search its own types only where there is none.
"""

from typing import Any

from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import Registry
from mmseg import registry as mmseg_registry


def _child(node: str, *locations: str) -> Registry:
    """Make the child of one of mmseg's nodes.

    Args:
        node: Name of the node in ``mmseg.registry``.
        *locations: Packages of mmsemi whose import registers the types. Without any,
            mmengine would call ``mmsemi.utils.register_all_modules``.
    """
    parent: Registry = getattr(mmseg_registry, node)
    # mmengine imports the locations of the registry asked, not of its parents.
    # They are read, since they differ between versions of mmseg.
    every = [*parent._locations, *locations]
    return Registry(parent.name, parent=parent, scope='mmsemi', locations=every)


RUNNERS = _child('RUNNERS', 'mmsemi.engine')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', 'mmsemi.engine')
LOOPS = _child('LOOPS', 'mmsemi.engine')
HOOKS = _child('HOOKS', 'mmsemi.engine', 'mmsemi.labeling')
LOG_PROCESSORS = _child('LOG_PROCESSORS', 'mmsemi.engine')
OPTIMIZERS = _child('OPTIMIZERS', 'mmsemi.engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'mmsemi.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'mmsemi.engine')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', 'mmsemi.engine')
VISUALIZERS = _child('VISUALIZERS', 'mmsemi.engine')
VISBACKENDS = _child('VISBACKENDS', 'mmsemi.engine')
INFERENCERS = _child('INFERENCERS', 'mmsemi.engine')

DATASETS = _child('DATASETS', 'mmsemi.datasets')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'mmsemi.datasets')
TRANSFORMS = _child('TRANSFORMS', 'mmsemi.datasets')

MODELS = _child('MODELS', 'mmsemi.models')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'mmsemi.engine')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', 'mmsemi.models')
TASK_UTILS = _child('TASK_UTILS', 'mmsemi.models')

METRICS = _child('METRICS', 'mmsemi.evaluation')
EVALUATOR = _child('EVALUATOR', 'mmsemi.evaluation')

# mmseg has no such node, and mmengine looks functions up in its own: they are
# registered there, and this child lets ``mmsemi.branch_collate`` find them.
FUNCTIONS = Registry(
    'function',
    parent=MMENGINE_FUNCTIONS,
    scope='mmsemi',
    locations=['mmsemi.datasets'],
)


def model_class(config: dict) -> Any:
    """Return the class, or function, that a model's config names, None if none does."""
    kind = config.get('type')
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(config.get('_scope_')) as registry:
        return registry.get(kind)
