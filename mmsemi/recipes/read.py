"""The trainings of a config: its stages, or, without any, itself."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .config import (
    TRAINING_KEYS,
    enable_amp,
    load_config,
    merge_change,
    merge_options,
    set_work_dir,
)
from .options import (
    of_stage,
    refuse_outdone,
    refuse_replaced,
    refuse_unfilled,
    refuse_unread,
    split_options,
)
from .placeholders import find_references
from .preflight import check_ends, check_labels
from .stage import Stage, check_checkpoints
from .unknown_keys import check_keys
from .written_out import as_trained, check_hooks, idle_hooks, refuse_idle


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
    common, own = split_options(options or {}, list(entries))
    refuse_unread(common, cfg, file)
    stages: list[Stage] = []
    idle: list[set[str]] = []
    taken: set[str] = set()
    for number, (name, change) in enumerate(entries.items()):
        where = f'{file}, stage {name!r}' if name else file
        refuse_unread(own[name], cfg, where)
        merged = planned = _merged(cfg, change, {}, where)
        if options:
            mine = common if not name else of_stage(common, planned)
            taken |= set(mine)
            merged = _merged(cfg, change, mine | own[name], where)
            check_labels(planned.to_dict(), merged.to_dict(), where)
            refuse_replaced(common, planned, where)
        check_ends(merged, where)
        check_keys(merged, where)
        raw = as_trained(merged, number, where)
        idle.append(idle_hooks(merged))
        if name:
            check_hooks(idle[-1], change, own[name], raw, where)
        refuse_unfilled(common | own[name], raw, where)
        refuse_outdone(common | own[name], raw, where)
        if amp:
            _enable_amp(raw, where)
        stage = Stage(name, root / name, raw, root)
        read = {key: raw[key] for key in raw if key in TRAINING_KEYS}
        stage.reads = find_references(read, name, list(entries), set(cfg), where)
        check_checkpoints(stage, stages, where)
        stages.append(stage)
    for key in common.keys() - taken:
        raise ValueError(
            f'--cfg-options {key}: no stage of {file} draws from this part: give '
            f'stages.<name>.{key} for the stage that shall'
        )
    known = {name for s in stages for name in s.raw.get('default_hooks') or {}}
    refuse_idle(set.intersection(*idle), known, file)
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


def _merged(cfg: Config, change: dict, options: dict, where: str) -> Config:
    shared = {k: v for k, v in cfg.to_dict().items() if k not in ('stages', 'work_dir')}
    try:
        merged = merge_change(Config(shared, filename=cfg.filename), change)
        merge_options(merged, options)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'{where} does not fit its config: {error}') from error
    return Config(merge_change(merged, {}).to_dict(), filename=cfg.filename)


def _enable_amp(cfg: Config, where: str) -> None:
    try:
        if cfg.get('optim_wrapper'):  # else the preflight says that there is none
            enable_amp(cfg)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
