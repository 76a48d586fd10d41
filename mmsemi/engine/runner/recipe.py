"""A recipe: trainings that follow one another, and what each reads from the others."""

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .launch import enable_amp, load_config
from .placeholders import Reference, fill, find_references

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


@dataclass
class Stage:
    """One training of a recipe.

    Attributes:
        name: Its name in the recipe.
        folder: Its work dir.
        base: Its config as the file has it.
        options: What is merged into the config, in this order.
        amp: Train in half precision.
        reads: What it reads from the stages before it and from itself.
    """

    name: str
    folder: Path
    base: Config
    options: list[dict] = field(default_factory=list)
    amp: bool = False
    reads: list[Reference] = field(default_factory=list)

    def config(self, paths: Mapping[str, str] | None = None) -> Config:
        """Merge the config.

        Args:
            paths: Placeholder -> path. By default the placeholders stay.
        """
        cfg = copy.deepcopy(self.base)
        for options in self.options:
            cfg.merge_from_dict(fill(options, paths or {}))
        if self.amp:
            enable_amp(cfg)
        return cfg

    @property
    def sources(self) -> list[str]:
        """Names of the earlier stages that it reads."""
        return list(dict.fromkeys(r.stage for r in self.reads if r.stage != self.name))


def read_recipe(
    cfg: Config, work_dir: str, options: dict | None = None, amp: bool = False
) -> list[Stage]:
    """Read the stages of a recipe and check all that can be known before the first.

    Args:
        cfg: The recipe, a config with the list ``stages``. Each is a dict of
            ``name``, ``config`` (a path from the recipe's folder or from the current
            one) and, if need be, ``cfg_options``: changes of this config, in which
            ``{work_dir}``, ``{name.last}`` and ``{name.best}`` stand for the recipe's
            work dir and for checkpoints of the earlier stage ``name``.
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
    stages: list[Stage] = []
    for name, entry in zip(names, entries, strict=True):
        where = f'{recipe}, stage {name!r}'
        stage = Stage(
            name,
            Path(work_dir).absolute() / name,
            _load(entry['config'], Path(recipe).absolute().parent, where),
            [dict(entry.get('cfg_options') or {}), common, own[name]],
            amp,
        )
        merged = _merge(stage, where)
        for values in stage.options:
            stage.reads += find_references(values, name, names, where)
        _check_checkpoints(stage, stages, where)
        _check_merged(merged, where)
        stages.append(stage)
    return stages


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
    for key in ('name', 'config'):
        if not isinstance(entry.get(key), str):
            raise ValueError(f'{where} has no {key}: write dict(name=…, config=…)')
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


def _check_merged(cfg: Config, where: str) -> None:
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise ValueError(f'{where}: its config trains nothing, it has no {key}')


def _check_checkpoints(stage: Stage, earlier: list[Stage], where: str) -> None:
    """Refuse checkpoints that are not written."""
    hooks = {source.name: checkpoint_hooks(source.config()) for source in earlier}
    for reads in stage.reads:
        if not reads.what:
            continue
        written = hooks[reads.stage]
        if not written:
            raise ValueError(
                f'{where}: {reads.key}={reads.value!r}, but stage {reads.stage!r} '
                'writes no checkpoint: set its default_hooks.checkpoint'
            )
        best = [hook.get('save_best') for hook in written if hook.get('save_best')]
        if reads.what == 'best' and not (len(best) == 1 and _is_one(best[0])):
            raise ValueError(
                f'{where}: {reads.key}={reads.value!r}, but stage {reads.stage!r} '
                f'does not keep one best checkpoint (save_best={best or None}): set '
                "its default_hooks.checkpoint.save_best to one metric, e.g. 'mIoU', "
                f'or read {{{reads.stage}.last}}'
            )


def checkpoint_hooks(cfg: Config) -> list[Mapping]:
    """Return the configs of the hooks that write checkpoints."""
    hooks = list(cfg.get('custom_hooks') or [])
    default = cfg.get('default_hooks') or {}
    # mmengine's Runner has one unless the config takes it away
    hooks.append(default.get('checkpoint', dict(type='CheckpointHook')))
    return [h for h in hooks if h and 'CheckpointHook' in str(h.get('type'))]


def _is_one(save_best: Any) -> bool:
    return isinstance(save_best, str) or len(save_best) == 1
