"""The keys of a recipe itself: what its stages share, and placeholders for them."""

import copy
import inspect
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from .launch import merge_options
from .placeholders import PLACEHOLDER, strings
from .stage_checks import NEEDED

OWN = {'stages', 'work_dir'}
"""Keys of a recipe that are no part of a training's config."""

RUNNER = {
    *inspect.signature(Runner.__init__).parameters,
    # read from the config itself
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'tta_model',
    'tta_pipeline',
}
"""Keys that a training reads."""


def fill_in(cfg: Config, options: dict) -> tuple[Config, Any]:
    """Return what a recipe's stages share, and the stages, without its own keys.

    What stands only for placeholders is left out: a stage's config then changes with
    what the stage reads, not with the lengths of others.

    Args:
        cfg: The recipe.
        options: Changes of its keys.

    Raises:
        ValueError: If they do not fit, or keys name each other in a circle.
    """
    cfg = copy.deepcopy(cfg)
    merge_options(cfg, options)
    values = {k: v for k, v in cfg.to_dict().items() if k != 'work_dir'}
    try:
        filled = fill_own(values, set(values) - OWN)
    except ValueError as error:
        raise ValueError(f'{cfg.filename}: {error}') from error
    entries = filled.pop('stages')
    only = recipe_only(cfg)
    shared = {k: v for k, v in filled.items() if k not in only}
    return Config(shared, filename=cfg.filename), entries


def recipe_only(cfg: Config) -> set[str]:
    """Return the keys of a recipe that stand for placeholders and nothing else."""
    named = _names(cfg.to_dict())
    return {key for key in cfg if key in named and key not in RUNNER}


def check_shared(shared: Config, entries: list[dict]) -> None:
    """Refuse a shared config that nothing would use, or with unknown placeholders."""
    where = shared.filename
    if all('config' in entry for entry in entries):
        for key in NEEDED:
            if key in shared:
                raise ValueError(
                    f'{where} has {key}, but all its stages have a config of their '
                    "own: remove it, or a stage's config to let it use the recipe's"
                )
        return
    for key, text in strings(shared.to_dict()):
        if PLACEHOLDER.search(text):
            raise ValueError(
                f'{where}: {key}={text!r} names no key of this recipe; {{work_dir}}, '
                "{<stage>.last} and {<stage>.best} stand in a stage's cfg_options only"
            )


def fill_own(config: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a copy of a config with values for the names of its own keys.

    A string that is nothing but ``'{name}'`` becomes the value, of any type; within
    a longer string it becomes its text.

    Args:
        config: The config.
        names: Its keys that may stand as placeholders; others stay.

    Raises:
        ValueError: If a list or dict is to be written into a longer string, or keys
            name each other in a circle.
    """
    for _ in range(len(config) + 1):
        values = {name: config[name] for name in names}
        filled = {key: _with_values(v, values, key) for key, v in config.items()}
        if filled == config:
            break
        config = filled
    circle = sorted(name for name in names if _names(filled[name]) & set(names))
    if circle:
        raise ValueError(f'the keys {circle} name each other in a circle: break it')
    return filled


def _names(value: Any) -> set[str]:
    """Return the names in the placeholders of nested containers."""
    return {m['name'] for _, text in strings(value) for m in PLACEHOLDER.finditer(text)}


def _with_values(value: Any, values: Mapping[str, Any], key: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _with_values(v, values, f'{key}.{k}') for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        filled = (_with_values(v, values, f'{key}.{i}') for i, v in enumerate(value))
        return type(value)(filled)
    if not isinstance(value, str):
        return copy.deepcopy(value)
    for match in PLACEHOLDER.finditer(value):
        token, name = match['token'], match['name']
        if match['what'] is not None or name not in values:
            continue
        if token == value:
            return copy.deepcopy(values[name])
        if not isinstance(values[name], (str, int, float)):
            raise ValueError(
                f'{key}={value!r}: {name} is {values[name]!r}, which is no text: let '
                f'{token} stand alone'
            )
        value = value.replace(token, str(values[name]))
    return value
