"""The trainings of a config: its stages, or, without any, itself."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsemi.labeling.images import part_images

from .config import (
    TRAINING_KEYS,
    config_hooks,
    enable_amp,
    load_config,
    merge_change,
    merge_options,
    set_work_dir,
)
from .placeholders import find_references
from .preflight import check_labels
from .stage import Stage, check_checkpoints
from .unknown_keys import check_keys, nearest


def read_stages(
    cfg: Config, work_dir: str, options: dict | None = None, amp: bool = False
) -> list[Stage]:
    """Read the trainings of a config, in order.

    A plain config is one training. With ``stages``, a dict of changes by name, it is
    one for each: the config with the change merged into it, as a child config merges
    into its base. What a stage's config then means:

    * ``{work_dir}`` is the folder of them all, ``{name.last}`` and ``{name.best}`` are
      checkpoints of the earlier stage ``name``.
    * ``method=dict(type='LPL', …)`` is a method whose ``segmentor`` is ``model``.
    * Parts of a ``MultiSourceDataset`` that ``num_per_source`` does not name are left
      out, and ``batch_size=None`` is the sum of its numbers.
    * A labelling hook's ``part`` names the part whose images it labels.
    * A hook that is None, or has options but no type in this stage, is left out.
    * The second stage trains with the config's seed + 1, and so on: from other
      initial weights.

    Args:
        cfg: The config.
        work_dir: Its folder; each stage has one of its name in it.
        options: Changes from the command line, of all stages or, as
            ``stages.<name>.key``, of one.
        amp: Train in half precision.

    Raises:
        ValueError: If a stage, an option, a key or a placeholder is wrong.
    """
    file, root = str(cfg.filename), Path(work_dir).absolute()
    entries = _entries(cfg, file)
    common, own = _split_options(options or {}, list(entries))
    _refuse_unread(common, cfg, file)
    stages: list[Stage] = []
    idle: list[set[str]] = []
    for number, (name, change) in enumerate(entries.items()):
        where = f'{file}, stage {name!r}' if name else file
        _refuse_unread(own[name], cfg, where)
        merged = _merged(cfg, change, common | own[name], where)
        if options:
            planned = _merged(cfg, change, {}, where)
            check_labels(planned.to_dict(), merged.to_dict(), where)
        check_keys(merged, where)
        raw = _as_trained(merged, number, where)
        idle.append(_idle_hooks(merged))
        if name:
            _check_hooks(idle[-1], change, own[name], raw, where)
        _refuse_unfilled(common | own[name], raw, where)
        if amp:
            _enable_amp(raw, where)
        stage = Stage(name, root / name, raw, root)
        read = {key: raw[key] for key in raw if key in TRAINING_KEYS}
        stage.reads = find_references(read, name, list(entries), set(cfg), where)
        check_checkpoints(stage, stages, where)
        stages.append(stage)
    known = {name for s in stages for name in s.raw.get('default_hooks') or {}}
    _refuse_idle(set.intersection(*idle), known, file)
    return stages


def load_stage(
    path: str,
    options: dict | None = None,
    name: str | None = None,
    work_dir: str | None = None,
) -> Config:
    """Load the config of a training, of a recipe that of one stage.

    For tools that do not train.

    Args:
        path: Of the config or recipe.
        options: Changes, as of the command line.
        name: The stage. By default the last.
        work_dir: Of the recipe, for ``{work_dir}``. By default as in training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such stage.
    """
    cfg = load_config(path)
    own = cfg.get('work_dir')
    set_work_dir(cfg, path, work_dir)
    stages = {stage.name: stage for stage in read_stages(cfg, cfg.work_dir, options)}
    if name is not None and name not in stages:
        known = list(stages) if '' not in stages else 'no stages'
        raise ValueError(f'{path} has no stage {name!r}, but {known}')
    stage = stages[name or list(stages)[-1]]
    loaded = stage.config({'{work_dir}': str(stage.root)})
    if own is not None:
        loaded.work_dir = own
    return loaded


def _entries(cfg: Config, file: str) -> dict[str, dict]:
    """Return the changes of each stage; ``{'': {}}`` of a plain config."""
    if 'stages' not in cfg:
        return {'': {}}
    entries: Any = cfg.stages
    if isinstance(entries, (list, tuple)):
        raise ValueError(
            f'{file}: stages is a list, the form of earlier versions: write a dict, '
            'stages=dict(supervised=dict(train_cfg=…), retrain=dict(…)), whose values '
            'are changes of this config'
        )
    if not isinstance(entries, Mapping) or not entries:
        raise ValueError(
            f'{file}: stages={entries!r} must be a dict of one or more stages, '
            'name=dict(key=…)'
        )
    for name, change in entries.items():
        if not re.fullmatch('[A-Za-z0-9_-]+', name):
            raise ValueError(
                f'{file}: a stage is named {name!r}, which is to be a folder: use '
                "letters, digits, '_' and '-' only"
            )
        if not isinstance(change, Mapping):
            raise ValueError(
                f'{file}, stage {name!r} is {change!r}: write what differs from the '
                'config, e.g. dict(train_cfg=dict(max_iters=…))'
            )
    return cfg.to_dict()['stages']


def _split_options(options: dict, names: list[str]) -> tuple[dict, dict[str, dict]]:
    """Split the command line's options into those of all stages and of each."""
    common: dict = {}
    own: dict[str, dict] = {name: {} for name in names}
    for key, value in options.items():
        first, _, rest = key.partition('.')
        if first == 'work_dir':
            raise ValueError(
                f'--cfg-options work_dir={value}: give the folder as --work-dir'
            )
        if first != 'stages':
            common[key] = value
            continue
        name, _, rest = rest.partition('.')
        if name not in own or not name or not rest:
            known = [n for n in names if n] or 'none, since the config has no stages'
            raise ValueError(
                f'--cfg-options {key}: write stages.<name>.<key>=<value> with a name '
                f'of {known}'
            )
        own[name][rest] = value
    return common, own


def _refuse_unread(options: dict, cfg: Config, where: str) -> None:
    """Refuse an option that nothing would read."""
    for key in options:
        first = key.split('.')[0]
        if first in TRAINING_KEYS or first == 'method':
            continue
        read = {k: v for k, v in cfg.to_dict().items() if k in TRAINING_KEYS}
        places = list(dict.fromkeys(_places(read, first)))
        problem = f'{where} has no key {first!r}: {nearest(first, TRAINING_KEYS)}'
        if first in cfg:
            problem = (
                f'{first!r} is a variable of {where}, which nothing reads once the '
                'file is read: change the keys that were made of it'
            )
        if places:
            problem = f'{problem.partition(":")[0]}: set {" and ".join(places[:6])}'
        raise ValueError(f'--cfg-options {key}: {problem}')


def _places(value: Any, name: str, key: str = '') -> Iterator[str]:
    """Yield the paths of keys of a name, or of where a set of parts takes it."""
    if not isinstance(value, Mapping):
        return
    if name in value:
        yield f'{key}.{name}' if key else name
        return
    found: list[str] = []
    for inner, item in value.items():
        found += _places(item, name, f'{key}.{inner}' if key else inner)
    if not found and 'MultiSourceDataset' in str(value.get('type')):
        found = [f'{key}.{name}'] * (name in FILLED)
    yield from found


FILLED = dict(split='ann_file', data_root='data_root')
"""What a set of parts takes once for all, and what it fills in a part without one."""


def _refuse_unfilled(options: dict, cfg: Config, where: str) -> None:
    """Refuse an option for all parts if each part has its own."""
    for name, filled in FILLED.items():
        key = f'train_dataloader.dataset.{name}'
        dataset: Any = (cfg.get('train_dataloader') or {}).get('dataset') or {}
        parts = {k: v for k, v in dataset.items() if isinstance(v, Mapping)}
        if key in options and parts and all(filled in part for part in parts.values()):
            raise ValueError(
                f'--cfg-options {key}={options[key]}: every part of {where} has its '
                f'own {filled}, which counts: set '
                + ' and '.join(f'train_dataloader.dataset.{p}.{filled}' for p in parts)
            )


def _merged(cfg: Config, change: dict, options: dict, where: str) -> Config:
    shared = {k: v for k, v in cfg.to_dict().items() if k not in ('stages', 'work_dir')}
    try:
        merged = merge_change(Config(shared, filename=cfg.filename), change)
        merge_options(merged, options)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'{where} does not fit its config: {error}') from error
    return Config(merge_change(merged, {}).to_dict(), filename=cfg.filename)


def _as_trained(cfg: Config, number: int, where: str) -> Config:
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


def _enable_amp(cfg: Config, where: str) -> None:
    try:
        if cfg.get('optim_wrapper'):  # else the preflight says that there is none
            enable_amp(cfg)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def _choose_hooks(cfg: Config, where: str) -> None:
    """Leave out hooks that are none here, and name the images of those that label."""
    named: Any = cfg.get('default_hooks') or {}
    for name in set(named) - set(RUNNER_HOOKS):
        if named[name] is None or 'type' not in named[name]:
            del named[name]
    for key, hook in config_hooks(cfg):
        part = hook.pop('part', None)
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
    parts = [name for name, part in dataset.items() if isinstance(part, Mapping)]
    if not set(shares) <= set(parts):
        return  # the preflight names the part that is missing
    unused = set(parts) - set(shares)
    loader['dataset'] = {k: v for k, v in dataset.items() if k not in unused}
    if loader.get('batch_size') is None and all(
        isinstance(n, int) for n in shares.values()
    ):
        loader['batch_size'] = sum(shares.values())


def _idle_hooks(cfg: Config) -> set[str]:
    """Return the names of hooks that have options but no type, so that they are none.

    Those of mmengine's Runner have a type there.
    """
    named = cfg.get('default_hooks') or {}
    return {
        name
        for name in set(named) - set(RUNNER_HOOKS)
        if isinstance(named[name], Mapping) and 'type' not in named[name]
    }


def _check_hooks(
    idle: set[str], change: dict, options: dict, raw: Config, where: str
) -> None:
    """Refuse options that a stage itself gives to a hook that it does not have."""
    given = set(change.get('default_hooks') or {})
    given |= {k.split('.')[1] for k in options if k.startswith('default_hooks.')}
    _refuse_idle(idle & given, set(raw.get('default_hooks') or {}), where)


def _refuse_idle(idle: set[str], known: set[str], where: str) -> None:
    for name in sorted(idle):
        raise ValueError(
            f'{where}: default_hooks.{name} has options but no type, so it is no hook: '
            f'{nearest(name, known | set(RUNNER_HOOKS))}'
        )
