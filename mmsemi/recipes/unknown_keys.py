"""Unknown keys of a config, refused before anything is built."""

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import FUNCTIONS, DefaultScope
from mmengine.runner import Runner
from mmengine.utils import ManagerMixin
from torch import nn

from mmsemi.datasets.multi_source_dataset import MultiSourceDataset
from mmsemi.recipes.config_places import (
    HABITUAL,
    KNOWN,
    LAYER_DECAY,
    PARAMWISE,
    TOP,
    Place,
)


def check_keys(cfg: Config, where: str) -> None:
    """Refuse a config with keys that nothing reads, all of them at once.

    What a class takes is read from its signature and, where ``**kwargs`` go on to
    its bases, from theirs. Where they go elsewhere only near misses are refused.

    Args:
        cfg: The whole config of one training.
        where: How the message calls it.

    Raises:
        ValueError: If there are such keys.
    """
    config = cfg.to_dict()
    problems = [
        f'{key} is no key of a training: {nearest(key, KNOWN)}'
        for key in config.keys() - KNOWN - HABITUAL
        if set(_close(key, KNOWN | HABITUAL, 0.8)[:1]) & KNOWN
    ]
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
        for key in TOP.keys() & config.keys():
            problems += _problems(config[key], key, TOP[key], None)
    if problems:
        found = '\n'.join(f'  {problem}' for problem in sorted(problems))
        raise ValueError(f'{where} has keys that nothing reads:\n{found}')


def nearest(name: str, known: Collection[str]) -> str:
    """Return the question ``did you mean …?`` or, if nothing is near, the choice."""
    near = _close(name, known, 0.8)[:1] or _close(name, known, 0.6)
    if near:
        return f'did you mean {" or ".join(near)}?'
    return f'choose from {", ".join(sorted(known))}'


def _close(name: str, known: Collection[str], cutoff: float) -> list[str]:
    return difflib.get_close_matches(name, sorted(known), cutoff=cutoff)


def _problems(value: Any, path: str, place: Place, scope: str | None) -> Iterator[str]:
    """Yield what is wrong at a place of a config and below."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _problems(item, f'{path}.{i}', place, scope)
    if not isinstance(value, dict):
        return
    scope = value.get('_scope_', scope)
    # several optimisers, each under its name
    several = place.default == 'OptimWrapper' and 'optimizer' not in value
    several = several and any('optimizer' in _keys(v) for v in value.values())
    cls = None if several else _find(value.get('type', place.default), place, scope)
    if cls is not None:
        yield from _class_problems(value, path, place, cls, scope)
    elif place.names and (not place.nodes or 'type' not in value):
        yield from _unknown(value, place.names, path, place.loose, f'key of {path}')
    if str(value.get('type')).endswith('Albu'):
        return  # its transforms are those of another package
    for key, inner in value.items():
        below = place if several else place.at(str(key))
        if below is PARAMWISE and 'constructor' in value:
            below = replace(below, names={*below.names, *LAYER_DECAY}, loose=True)
        yield from _problems(inner, f'{path}.{key}', below, scope)


def _find(kind: Any, place: Place, scope: str | None) -> Callable | None:
    """Return what a ``type`` stands for, None if it is unknown."""
    if not isinstance(kind, str):
        return kind if place.nodes and callable(kind) else None
    for node in place.nodes:
        try:
            if node is FUNCTIONS:  # which mmengine looks up without a scope
                return node.get(kind)
            with node.switch_scope_and_registry(scope) as scoped:
                return scoped.get(kind)
        except (RuntimeError, ImportError):
            continue
    return None


def _keys(value: Any) -> Collection[str]:
    return value if isinstance(value, dict) else ()


def _class_problems(
    value: dict, path: str, place: Place, cls: Callable, scope: str | None
) -> Iterator[str]:
    """Yield what is wrong with the arguments of a class."""
    arguments, is_open = _arguments(cls)
    names = {*arguments, *place.extra}
    if cls is MultiSourceDataset:
        # of its parts only that they are data sets can be known
        is_open = False
        names |= {key for key, part in value.items() if 'type' in _keys(part)}
    rest = _receiver(cls, names, value, place, scope) if is_open else None
    if rest is not None:
        more, is_open = _arguments(rest)
        names |= more
    owner = f'argument of {getattr(cls, "__name__", cls)}'
    yield from _unknown(value, names, path, is_open or place.loose, owner)


def _receiver(
    cls: Callable, names: set[str], value: dict, place: Place, scope: str | None
) -> Callable | None:
    """Return what mmengine's and mmcv's open classes hand the rest to."""
    if inspect.isclass(cls) and issubclass(cls, CheckpointHook):
        return inspect.unwrap(Runner.save_checkpoint)
    if 'resize_type' in names:
        return _find(value.get('resize_type', 'Resize'), place, scope)
    if 'ema_type' in names:
        kind = value.get('ema_type', 'ExponentialMovingAverage')
        return _find(kind, TOP['model'], scope)
    return None


def _unknown(
    given: dict, known: Collection[str], path: str, loose: bool, owner: str
) -> Iterator[str]:
    """Yield the keys that are not known, if ``loose`` those near to one not given."""
    names = set(known)
    for key in given.keys() - names - {'type', '_scope_', '_delete_'}:
        if not loose or _close(str(key), names - given.keys(), 0.85):
            yield f'{path}.{key} is no {owner}: {nearest(str(key), names)}'


@cache
def _arguments(cls: Callable) -> tuple[frozenset[str], bool]:
    """Return the arguments of a class or function, and whether it takes others."""
    if not inspect.isclass(cls):
        return _signature(cls)
    if cls.__new__ is not object.__new__:
        return frozenset(), True
    names = {'name'} if issubclass(cls, ManagerMixin) else set()
    for base in cls.__mro__:
        if base in (object, nn.Module):
            break
        if '__init__' not in vars(base):
            continue
        init = vars(base)['__init__']
        own, is_open = _signature(init)
        names |= own - {'self'}
        if not is_open:
            break
        read, goes_on = _read_from_kwargs(init)
        names |= read
        if not goes_on:
            return frozenset(names), True
    return frozenset(names), False


def _signature(function: Callable) -> tuple[frozenset[str], bool]:
    """Return the names that a signature has, and whether others may be right."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset(), True
    wild = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    names = frozenset(p.name for p in parameters if p.kind not in wild)
    # a decorator may rename arguments
    renamed = hasattr(function, '__wrapped__')
    return names, renamed or any(p.kind is wild[0] for p in parameters)


def _read_from_kwargs(init: Callable) -> tuple[set[str], bool]:
    """Return which keys an ``__init__`` reads, and if the rest is its bases' only."""
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(init))).body
    except (OSError, TypeError, SyntaxError):
        return set(), False
    if hasattr(init, '__wrapped__') or not isinstance(function, ast.FunctionDef):
        return set(), False
    kwargs = function.args.kwarg.arg if function.args.kwarg else ''
    nodes = list(ast.walk(function))
    uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == kwargs]
    read, understood = set(), 0
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = node.func
        if called.attr == '__init__':
            understood += sum(k.arg is None and k.value in uses for k in node.keywords)
        elif called.value in uses and called.attr in ('pop', 'get', 'setdefault'):
            if node.args and isinstance(node.args[0], ast.Constant):
                read.add(str(node.args[0].value))
                understood += 1
    return read, understood == len(uses)
