"""What the keys of our own mean, written out for mmengine's Runner."""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmsemi.labeling.hooks.labeling_hook import ImagesHook
from mmsemi.labeling.images import part_images
from mmsemi.registry import HOOKS

from .config import config_hooks
from .unknown_keys import nearest


def as_trained(cfg: Config, number: int, where: str) -> Config:
    """Write out what the keys of our own mean, for mmengine's Runner."""
    cfg = copy.deepcopy(cfg)
    method = cfg.pop('method', None)
    if method is not None:
        if not isinstance(method, Mapping) or 'type' not in method:
            raise ValueError(
                f"{where}: method={method!r}: write dict(type='LPL', …), whose "
                'segmentor is the model of the config'
            )
        cfg.model = dict(method, segmentor=cfg.get('model'))
    _choose_hooks(cfg, where)
    _choose_parts(cfg)
    randomness = cfg.get('randomness') or {}
    if number and randomness.get('seed') is not None:
        # else all networks would start from the same weights
        cfg.randomness.seed += number
    return cfg


def _choose_hooks(cfg: Config, where: str) -> None:
    """Leave out hooks that are none here, and name the images of those that label."""
    named: Any = cfg.get('default_hooks') or {}
    for name in set(named) - set(RUNNER_HOOKS):
        if named[name] is None or 'type' not in named[name]:
            del named[name]
    for key, hook in config_hooks(cfg):
        kind = HOOKS.get(hook['type']) if isinstance(hook.get('type'), str) else None
        ours = isinstance(kind, type) and issubclass(kind, ImagesHook)
        part = hook.pop('part', None) if ours else None
        if part is not None:
            try:
                images = part_images(cfg, part)
            except ValueError as error:
                raise ValueError(f'{where}: {key}: {error}') from error
            hook['dataset'] = {**images, **(hook.get('dataset') or {})}


RUNNER_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)
"""Hooks that mmengine's Runner has, unless the config has None in their place."""


def _choose_parts(cfg: Config) -> None:
    """Leave out the parts of the data that this stage does not draw from."""
    loader: Any = cfg.get('train_dataloader') or {}
    shares = (loader.get('sampler') or {}).get('num_per_source')
    dataset: Any = loader.get('dataset')
    if not isinstance(shares, Mapping) or not isinstance(dataset, Mapping):
        return
    if str(dataset.get('type')).rpartition('.')[2] != 'MultiSourceDataset':
        return
    # as everywhere, None takes away what a base has
    shares = {name: number for name, number in shares.items() if number is not None}
    loader['sampler']['num_per_source'] = shares
    parts = [name for name, part in dataset.items() if isinstance(part, Mapping)]
    if not set(shares) <= set(parts):
        return  # the preflight names the part that is missing
    unused = set(parts) - set(shares)
    loader['dataset'] = {k: v for k, v in dataset.items() if k not in unused}
    if loader.get('batch_size') is None and all(
        isinstance(n, int) for n in shares.values()
    ):
        loader['batch_size'] = sum(shares.values())


def idle_hooks(cfg: Config) -> set[str]:
    """Return the names of hooks that have options but no type, so that they are none.

    Those of mmengine's Runner have a type there.
    """
    named = cfg.get('default_hooks') or {}
    return {
        name
        for name in set(named) - set(RUNNER_HOOKS)
        if isinstance(named[name], Mapping) and 'type' not in named[name]
    }


def check_hooks(
    idle: set[str], change: dict, options: dict, raw: Config, where: str
) -> None:
    """Refuse options that a stage itself gives to a hook that it does not have."""
    given = set(change.get('default_hooks') or {})
    given |= {k.split('.')[1] for k in options if k.startswith('default_hooks.')}
    refuse_idle(idle & given, set(raw.get('default_hooks') or {}), where)


def refuse_idle(idle: set[str], known: set[str], where: str) -> None:
    """Refuse named hooks that have options but no type.

    Args:
        idle: Their names.
        known: Names of hooks that there are, for the remedy.
        where: How messages call the config.

    Raises:
        ValueError: If there is one.
    """
    for name in sorted(idle):
        raise ValueError(
            f'{where}: default_hooks.{name} has options but no type, so it is no hook: '
            f'{nearest(name, known | set(RUNNER_HOOKS))}'
        )
