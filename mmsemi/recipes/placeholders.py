"""Placeholders in a config: what a stage reads from those before it."""

import copy
import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PLACEHOLDER = re.compile(
    r'(?P<token>\{(?P<name>[A-Za-z0-9_-]+)(?:\.(?P<what>[^{}]*))?\})'
    r'(?:/(?P<folder>[^/{}]*))?'
)


@dataclass(frozen=True)
class Reference:
    """What a value of a stage's config reads from a stage.

    Attributes:
        key: Path of the value in the config.
        value: The value as it is written.
        token: The placeholder in it.
        stage: Name of the stage that it reads.
        what: ``'last'`` or ``'best'`` for a checkpoint, ``''`` for the folder.
    """

    key: str
    value: str
    token: str
    stage: str
    what: str


def find_references(
    config: Mapping, name: str, names: Sequence[str], keys: Collection[str], where: str
) -> list[Reference]:
    """Find what a stage's config reads; refuse what it cannot.

    Args:
        config: The config.
        name: The stage's name, ``''`` of a plain config.
        names: Names of all stages, in order.
        keys: Keys of the whole file, for which nothing may stand.
        where: How messages call the stage.

    Raises:
        ValueError: If a placeholder is wrong or no earlier stage's.
    """
    found = []
    for key, value in strings(config):
        for match in PLACEHOLDER.finditer(value):
            source, what, problem = _read(match, name, names, keys)
            if problem:
                raise ValueError(
                    f'{where}: {key}={value!r}: {match["token"]} {problem}'
                )
            if source:
                found.append(Reference(key, value, match['token'], source, what))
    return found


def _read(
    match: re.Match, name: str, names: Sequence[str], keys: Collection[str]
) -> tuple[str, str, str]:
    """Return the stage that a placeholder reads, what of it, and what is wrong."""
    source, what = match['name'], match['what']
    earlier = list(names[: names.index(name)])
    readable = earlier
    if (source, what) == ('work_dir', None):
        # its own folder too: one hook may read what another has written
        source, what, readable = match['folder'] or '', '', [*earlier, name]
        if not source or names == ['']:
            return '', '', ''
    elif what in ('last', 'best') and names == ['']:
        return '', '', 'reads a stage, but the config has no stages'
    elif what not in ('last', 'best'):
        near = difflib.get_close_matches(source, ['work_dir', *names], cutoff=0.8)
        if near or (what is None and source in keys):
            return (
                '',
                '',
                'is none of {work_dir}, {<stage>.last} and {<stage>.best}, the only '
                'placeholders: write the value itself',
            )
        return '', '', ''
    if source in readable:
        return source, what, ''
    why = 'not done by then' if source in names else 'no stage of this recipe'
    return (
        '',
        '',
        f'reads {source!r}, which is {why}; choose from the stages before it: '
        f'{earlier}',
    )


def strings(value: Any, key: str = '') -> Iterator[tuple[str, str]]:
    """Yield (key path, string) of nested containers."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield from strings(v, f'{key}.{k}' if key else str(k))
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from strings(v, f'{key}.{i}' if key else str(i))


def find(config: Any, key: str) -> Any:
    """Return the value at a path of keys and indices; None where there is none."""
    for name in key.split('.'):
        if isinstance(config, Mapping):
            config = config.get(name)
        elif isinstance(config, (list, tuple)) and name.isdigit():
            config = config[int(name)] if int(name) < len(config) else None
        else:
            return None
    return config


def fill(value: Any, paths: Mapping[str, str]) -> Any:
    """Return a copy of nested containers with paths for the placeholders.

    Args:
        value: The containers.
        paths: Placeholder -> path; others stay.
    """
    if isinstance(value, str):
        for token, path in paths.items():
            value = value.replace(token, path)
        return value
    if isinstance(value, Mapping):
        return {k: fill(v, paths) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(fill(v, paths) for v in value)
    return copy.deepcopy(value)
