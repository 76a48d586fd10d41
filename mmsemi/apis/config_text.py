"""A config written as the changes of another."""

import keyword
from collections.abc import Mapping
from typing import Any

WIDTH = 88


class Name(str):
    """Python code instead of a value, e.g. ``_base_.model``."""


def changes(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be merged into ``old`` to make ``new`` of it.

    As mmengine merges: dicts key by key, all else as a whole, and a dict with
    ``_delete_`` too. A key of ``old`` that ``new`` lacks stays at the outermost level.

    Args:
        new: Config.
        old: The config it inherits from.
    """
    found = {}
    for key, value in new.items():
        before = old.get(key)
        if key in old and value == before:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if before.keys() - value.keys():
                value = {'_delete_': True, **value}
            else:
                value = changes(value, before)
        found[key] = value
    return found


def assignments(values: Mapping[str, Any]) -> str:
    """Return the text of a config, one assignment for each key."""
    return ''.join(
        f'{key} = {_layout(value, len(key) + 3, 0)}\n' for key, value in values.items()
    )


def _items(value: Mapping) -> list[tuple[str, Any]]:
    """Return the items as keyword arguments or as of a literal, the type first."""
    order = sorted(
        value.items(),
        key=lambda item: (
            ('_delete_', 'type').index(item[0])
            if item[0] in ('_delete_', 'type')
            else 2
        ),
    )
    if _has_names(value):
        return [(f'{key}=', item) for key, item in order]
    return [(f'{key!r}: ', item) for key, item in order]


def _has_names(value: Mapping) -> bool:
    return all(
        isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
        for key in value
    )


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return ('dict(', ')') if _has_names(value) else ('{', '}')
    return ('[', ']') if isinstance(value, list) else ('(', ')')


def _line(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, Name):
        return str(value)
    if not isinstance(value, (Mapping, list, tuple)):
        return repr(value)
    start, end = _brackets(value)
    if isinstance(value, Mapping):
        inside = [f'{key}{_line(item)}' for key, item in _items(value)]
    else:
        inside = [_line(item) for item in value]
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    return f'{start}{", ".join(inside)}{comma}{end}'


def _layout(value: Any, used: int, indent: int) -> str:
    """Return a value, on several lines where one would be too long.

    Args:
        value: Of a config.
        used: Characters before it on its first line, and one after it.
        indent: Spaces before a further line.
    """
    line = _line(value)
    nested = isinstance(value, (Mapping, list, tuple)) and value
    if used + len(line) <= WIDTH or not nested:
        return line
    start, end = _brackets(value)
    items = _items(value) if isinstance(value, Mapping) else [('', v) for v in value]
    inner = indent + 4
    lines = [
        f'{" " * inner}{key}{_layout(item, inner + len(key) + 1, inner)},\n'
        for key, item in items
    ]
    return f'{start}\n{"".join(lines)}{" " * indent}{end}'
