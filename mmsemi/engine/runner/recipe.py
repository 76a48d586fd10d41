"""A recipe: trainings that follow one another, and what each reads from the others."""

import difflib
import os
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .launch import load_config, merge_options, set_work_dir
from .placeholders import find, find_references
from .recipe_keys import RUNNER, check_shared, fill_in, recipe_only
from .stage import Stage, check_checkpoints
from .stage_checks import check_config, check_labels


def read_recipe(
    cfg: Config, work_dir: str, options: dict | None = None, amp: bool = False
) -> list[Stage]:
    """Read the stages of a recipe and check all that can be known before the first.

    Args:
        cfg: The recipe, a config with the list ``stages``. Each is a dict of
            ``name`` and, if need be, ``config``, a path from the recipe's folder or
            from the current one (by default the recipe itself is the stage's config),
            and ``cfg_options``: changes of this config, in which ``{work_dir}``,
            ``{name.last}`` and ``{name.best}`` stand for the recipe's work dir and
            for checkpoints of the earlier stage ``name``. Anywhere in the recipe
            ``{key}`` stands for another of its keys. The second stage trains with the
            config's seed + 1, and so on: from other initial weights.
        work_dir: Where each stage has a folder of its name.
        options: Changes of every stage's config, or of one: ``stages.<name>.key``.
        amp: Train all in half precision.

    Raises:
        FileNotFoundError: If a stage's config does not exist.
        ValueError: If a stage, an option or a placeholder is wrong.
    """
    recipe = str(cfg.filename)
    entries = cfg.stages
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{recipe}: stages must be a list of one or more stages')
    names: list[str] = []
    for number, entry in enumerate(entries, 1):
        names.append(_check_entry(entry, f'{recipe}, stage {number}', names))
    common, own = _split_options(options or {}, names)
    only = recipe_only(cfg)
    elsewhere = any('config' in entry for entry in entries)
    _check_keys(common, {*RUNNER, *(cfg if elsewhere else only)}, recipe)
    stages: list[Stage] = []
    for i, name in enumerate(names):
        where = f'{recipe}, stage {name!r}'
        # a key of the recipe may be changed for one stage
        changes = {**common, **own[name]}
        keys = {k: v for k, v in changes.items() if k.split('.')[0] in only}
        shared, filled = fill_in(cfg, keys)
        check_shared(shared, filled)
        base, entry = shared, filled[i]
        known = RUNNER | only
        if 'config' in entry:
            base = _load(entry['config'], Path(recipe).absolute().parent, where)
            known = known | set(base)
        _check_keys(own[name], known, f'stage {name!r} of {recipe}')
        rest = {k: v for k, v in changes.items() if k not in keys}
        stage = Stage(
            name,
            Path(work_dir).absolute() / name,
            base,
            [dict(entry.get('cfg_options') or {}), rest],
            amp,
            number=i,
        )
        merged = _merge(stage, where)
        for options_of in stage.options:
            stage.reads += find_references(options_of, name, names, where)
        values = merged.to_dict()
        check_labels(values, stage.reads, where)
        # what an option has replaced is read no more
        stage.reads = [r for r in stage.reads if find(values, r.key) == r.value]
        check_checkpoints(stage, stages, where)
        check_config(merged, where)
        stages.append(stage)
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
    if 'stages' not in cfg:
        if name is not None:
            raise ValueError(f'{path} is no recipe and has no stage {name!r}')
        merge_options(cfg, options)
        return cfg
    set_work_dir(cfg, path, work_dir)
    stages = {s.name: s for s in read_recipe(cfg, cfg.work_dir, options)}
    stage = stages.get(name or list(stages)[-1])
    if stage is None:
        raise ValueError(f'{path} has no stage {name!r}, but {list(stages)}')
    return stage.config({'{work_dir}': str(stage.folder.parent)})


def _check_entry(entry: Any, where: str, earlier: list[str]) -> str:
    """Return the name of a stage whose keys are right."""
    if not isinstance(entry, dict):
        raise ValueError(f'{where} is {entry!r}: write dict(name=…, config=…)')
    unknown = sorted(entry.keys() - {'name', 'config', 'cfg_options'})
    if unknown:
        raise ValueError(
            f'{where} has the unknown key {unknown[0]!r}: a stage has name, config and '
            'cfg_options, where changes of its config belong'
        )
    if not isinstance(entry.get('name'), str):
        raise ValueError(f'{where} has no name: write dict(name=…, config=…)')
    if not isinstance(entry.get('config', ''), str):
        raise ValueError(f'{where}: config={entry["config"]!r} must be a path')
    name = entry['name']
    if not re.fullmatch('[A-Za-z0-9_-]+', name):
        raise ValueError(
            f'{where} is named {name!r}, which is to be a folder: use letters, digits, '
            "'_' and '-' only"
        )
    if name in earlier:
        raise ValueError(f'{where} is named {name!r} as one before it: rename one')
    if not isinstance(entry.get('cfg_options') or {}, dict):
        raise ValueError(f"{where}: cfg_options must be a dict, {{'key.path': value}}")
    return name


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
        if name not in own or not rest:
            raise ValueError(
                f'--cfg-options {key}: write stages.<name>.<key>=<value> with a name '
                f'of {names}'
            )
        own[name][rest] = value
    return common, own


def _check_keys(options: dict, known: set[str], recipe: str) -> None:
    """Refuse an option that nothing would read."""
    for key in options:
        first = key.split('.')[0]
        if first not in known:
            near = difflib.get_close_matches(first, known) or sorted(known - RUNNER)
            raise ValueError(
                f'--cfg-options {key}: {recipe} has no key {first!r} that a training '
                f'reads; did you mean one of {near}?'
            )


def _load(given: str, folder: Path, where: str) -> Config:
    """Load a stage's config."""
    paths = [folder / given, Path(given)]
    found = [str(path) for path in paths if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f'{where}: the config {given} does not exist, neither in {folder} nor in '
            f'{os.getcwd()}: correct the path'
        )
    try:
        cfg = load_config(found[0])
    except Exception as error:
        raise ValueError(f'{where}: cannot read {found[0]}: {error}') from error
    if 'stages' in cfg:
        raise ValueError(
            f'{where}: {found[0]} is itself a recipe: name the config of one training'
        )
    return cfg


def _merge(stage: Stage, where: str) -> Config:
    try:
        return stage.config()
    except Exception as error:
        raise ValueError(
            f'{where}: {stage.base.filename} and its options do not fit: {error}'
        ) from error
