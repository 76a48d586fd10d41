"""A semi-supervised training out of a supervised one's config."""

import copy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmsemi.apis.semi_sources import Sources, type_name
from mmsemi.registry import MODELS

METHODS: dict[str, dict[str, Any]] = {
    'mean-teacher': dict(type='MeanTeacher'),
    'cutmix-seg': dict(type='MeanTeacher', cutmix=True),
    'fixmatch': dict(type='FixMatch'),
    'cps': dict(type='CPS'),
    'unimatch': dict(type='UniMatch'),
    'u2pl': dict(type='U2PL'),
}
KEYS = (
    'custom_imports',
    'default_scope',
    'model',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'val_evaluator',
    'test_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'default_hooks',
    'custom_hooks',
    'randomness',
    'load_from',
    'env_cfg',
    'log_processor',
    'log_level',
    'vis_backends',
    'visualizer',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'test_pipeline',
    'tta_pipeline',
    'tta_model',
)
"""What a training or a test reads of a config; other keys are variables of the file."""

DECAY = ('LearningRateDecayOptimizerConstructor', 'LayerDecayOptimizerConstructor')
"""mmseg's constructors that look for ``model.backbone``."""


def make_semi_config(
    cfg: Config,
    method: str,
    labeled: str,
    unlabeled: str,
    batch: tuple[int, int] | None = None,
) -> Config:
    """Write the config of a semi-supervised training from a supervised one.

    Model, data set, crop size, classes, suffixes, optimiser, schedule and evaluation
    are those of the given config. Its training images are drawn from the labelled
    list; the unlabelled ones go through the same geometry, and what changes their
    colours is left to the method's strong views. The result names mmsemi's types with
    their scope, so that any OpenMMLab program trains with it.

    Args:
        cfg: Config of a supervised training with mmseg, not changed.
        method: A key of ``METHODS``.
        labeled: List of labelled images as mmseg reads it: one image a line, its path
            below ``img_path`` without suffix. Its path from here or from ``data_root``.
        unlabeled: List of unlabelled images below the same ``img_path``, or a folder.
        batch: Labelled and unlabelled images of a batch. By default both are the
            ``batch_size`` of ``cfg``.

    Raises:
        FileNotFoundError: If a list, or the first image of one, does not exist.
        ValueError: If ``cfg`` is no such config, the method is unknown, or the lists
            are bad or have an image in common.
    """
    name = method.lower().replace('_', '-')
    if name not in METHODS:
        raise ValueError(f'method {method!r} is unknown: choose from {list(METHODS)}')
    cfg = copy.deepcopy(cfg)
    check_supervised(cfg)
    model = dict(METHODS[name], type=f'mmsemi.{METHODS[name]["type"]}')
    kind = MODELS.get(model['type'])
    loader, sources = cfg.train_dataloader, Sources(cfg, labeled, unlabeled)
    counts = batch or (loader.get('batch_size', 1),) * 2
    if min(counts) < 1:
        raise ValueError(f'a batch of {counts} images: give at least 1 of each kind')

    segmentor = cfg.model
    if 'data_preprocessor' not in segmentor and 'data_preprocessor' in cfg:
        segmentor.data_preprocessor = cfg.data_preprocessor
    cfg.model = dict(model, segmentor=segmentor)
    if name == 'u2pl' and num_classes(segmentor) < 4:
        # low ranks must be below the number of classes
        cfg.model.low_rank = 1
    for key in ('batch_sampler', 'shuffle'):
        loader.pop(key, None)
    loader.batch_size = sum(counts)
    loader.sampler = dict(
        type='mmsemi.MultiSourceSampler',
        num_per_source=dict(labeled=counts[0], unlabeled=counts[1]),
    )
    loader.collate_fn = dict(type='mmsemi.branch_collate')
    loader.dataset = dict(type='mmsemi.MultiSourceDataset', **sources.parts(kind))
    set_hooks(cfg, kind)
    cfg.custom_imports = add_import(cfg.get('custom_imports'))
    return Config({key: cfg[key] for key in KEYS if key in cfg})


def check_supervised(cfg: Config) -> None:
    """Refuse what is no config of a supervised training by iterations.

    Raises:
        ValueError: If it is not.
    """
    wanted = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')
    missing = [key for key in wanted if not cfg.get(key)]
    if missing:
        raise ValueError(
            f'{cfg.filename or "the config"} has no {", ".join(missing)}: give the '
            'config of a training with MMSegmentation 1.x'
        )
    if 'decode_head' not in cfg.model:
        what = 'is a method already' if 'segmentor' in cfg.model else 'has no head'
        raise ValueError(
            f'the model {cfg.model.get("type")!r} of {cfg.filename or "the config"} '
            f'{what}: give the config of a supervised training of an mmseg segmentor'
        )
    loop = cfg.train_cfg
    counts_steps = type_name(loop) in ('IterBasedTrainLoop', 'MultiSourceTrainLoop')
    if loop.get('by_epoch', not counts_steps):
        raise ValueError(
            f'{cfg.filename or "the config"} trains by epochs, which labelled and '
            'unlabelled images do not have in common: set '
            "train_cfg=dict(type='IterBasedTrainLoop', max_iters=…, val_interval=…)"
        )


def num_classes(segmentor: dict) -> int:
    """Return the number of classes of a segmentor's config."""
    head = segmentor['decode_head']
    head = head[-1] if isinstance(head, (list, tuple)) else head
    return head.get('num_classes') or num_classes(
        dict(decode_head=head['kernel_generate_head'])
    )


def set_hooks(cfg: Config, method: Any) -> None:
    """Write the hooks, loops and the seed of a method into a config, in place."""
    hooks = [dict(type='mmsemi.ExactResumeHook'), dict(type='mmsemi.SetIterHook')]
    if method.needs_mean_teacher:
        hooks.append(dict(type='mmsemi.MeanTeacherHook'))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks]
    checkpoint: Any = cfg.get('default_hooks', {}).get('checkpoint') or {}
    if type_name(checkpoint) == 'CheckpointHook':
        checkpoint.type = 'mmsemi.AtomicCheckpointHook'
    if type_name(cfg.get('val_cfg') or {}) == 'ValLoop':
        cfg.val_cfg.type = 'mmsemi.TeacherStudentValLoop'
    randomness = cfg.get('randomness') or {}
    # a fixed seed is what makes a resumed run exact
    seed = randomness.get('seed')
    cfg.randomness = {**randomness, 'seed': 0 if seed is None else seed}
    wrapper = cfg.optim_wrapper
    if type_name(dict(type=wrapper.get('constructor'))) in DECAY:
        wrapper.paramwise_cfg = dict(
            wrapper.get('paramwise_cfg') or {}, constructor=wrapper.constructor
        )
        wrapper.constructor = 'mmsemi.PerNetworkConstructor'


def add_import(imports: dict | None) -> dict:
    """Return mmengine's ``custom_imports`` with mmsemi among them."""
    found = (imports or {}).get('imports') or []
    found = [found] if isinstance(found, str) else list(found)
    return dict(imports=list(dict.fromkeys([*found, 'mmsemi'])))


def build_model(cfg: Config) -> None:
    """Build the model of a config, which says whether the method can train it.

    Args:
        cfg: Of :func:`make_semi_config`.

    Raises:
        ValueError: If it cannot be built.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmseg'):
        try:
            MODELS.build(ConfigDict(copy.deepcopy(cfg.model.to_dict())))
        except (AssertionError, KeyError, TypeError) as error:
            raise ValueError(
                f'the model cannot be built ({type(error).__name__}: {error}): correct '
                f'{cfg.model.segmentor.get("type")} or the options of {cfg.model.type}'
            ) from error
