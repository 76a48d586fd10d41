"""Configs: read a file, merge changes into it, choose folder and precision."""

import copy
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmsemi.config_scope import without_scope

TRAINING_KEYS = {
    *inspect.signature(Runner.__init__).parameters,
    # read from the config itself
    'activation_checkpointing',
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
} - {'self', 'cfg'}
"""Keys that a training or a test reads; others are variables of the file."""


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge the options of the command line into it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an option does not fit.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'the config {path} does not exist: the configs of mmsemi are under '
            'configs/, e.g. configs/u2pl/'
        )
    cfg = Config.fromfile(path)
    if cfg.get('default_scope') == 'mmsemi':
        # `_base_ = 'mmsemi::…'` writes the scope into each dict
        without_scope(cfg)
    merge_options(cfg, options)
    return cfg


def merge_options(cfg: Config, options: dict | None) -> None:
    """Merge the options of the command line into a config.

    Raises:
        ValueError: If one goes into what has no such place there.
    """
    try:
        # a copy: mmengine takes _delete_ out, and the next stage needs it, too
        cfg.merge_from_dict(copy.deepcopy(options or {}))
    except (AttributeError, KeyError, TypeError) as error:
        shown = ' '.join(f'{key}={value}' for key, value in (options or {}).items())
        raise ValueError(
            f'{cfg.filename or "the config"} and --cfg-options {shown} do not fit: '
            f'{str(error).rstrip(".")}. Replace the whole instead: a value by '
            'key._delete_=True key.below=…, a list by key=[…]'
        ) from error


def merge_change(cfg: Config, change: Mapping) -> Config:
    """Return a config with a change merged as a child config merges into its base.

    Args:
        cfg: The config, not changed.
        change: Nested dicts; ``_delete_=True`` in one replaces what was there.

    Raises:
        TypeError: If a dict shall be merged into what is none.
    """
    merged = copy.deepcopy(cfg)
    merged.merge_from_dict(copy.deepcopy(dict(change)))
    # mmengine leaves the key where there was nothing to replace
    return Config(_without_delete(merged.to_dict()), filename=cfg.filename)


def _without_delete(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_delete(v) for k, v in value.items() if k != '_delete_'}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_delete(item) for item in value)
    return value


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Choose the folder: command line, then config, then the config's name."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def enable_amp(cfg: Config) -> None:
    """Train in half precision: float16 on a GPU, bfloat16 on the CPU.

    Raises:
        ValueError: If the config has an optimiser wrapper of another kind.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper', 'mmsemi.CPUAmpOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'--amp replaces OptimWrapper, but optim_wrapper.type is {kind!r}: '
            'remove --amp or choose OptimWrapper'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.loss_scale = 'dynamic'


def config_hooks(cfg: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return (key path, config) of the hooks: the named ones, then the others."""
    named = cfg.get('default_hooks') or {}
    found = [(f'default_hooks.{name}', hook) for name, hook in named.items()]
    others = cfg.get('custom_hooks') or []
    found += [(f'custom_hooks.{i}', hook) for i, hook in enumerate(others)]
    return [(key, hook) for key, hook in found if isinstance(hook, Mapping)]
