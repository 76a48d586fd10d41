"""Fields of JSON files that others wrote, checked before they are used."""

from collections.abc import Mapping
from typing import Any

from mmsemi.datasets.atomic import PathLike

Kind = type | tuple[type, ...]
KEY: Kind = (int, str)
NUMBER: Kind = (int, float)
WORDS: dict[Kind, str] = {
    str: 'a text',
    list: 'a list',
    KEY: 'an integer or a text',
    NUMBER: 'a finite number',
}


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number of a size that pixels have."""
    return _is_a(value, NUMBER) and abs(value) < 1e9


def _is_a(value: Any, kind: Kind) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def field(item: Mapping, name: str, kind: Kind, where: PathLike) -> Any:
    """Return a field of an object.

    Args:
        item: The object.
        name: The field's name.
        kind: What it must be; a truth value is no number, and 1.0 is an integer.
        where: How messages call the object.

    Raises:
        ValueError: If there is no such field, or it is of another kind.
    """
    if name not in item:
        raise ValueError(f'{where} has no {name!r}: add it to the file')
    value = item[name]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not (is_number(value) if kind == NUMBER else _is_a(value, kind)):
        raise ValueError(
            f'{where}: {name} = {value!r:.60} must be {WORDS[kind]}: correct the file'
        )
    return value


def objects(found: Mapping, name: str, path: PathLike) -> list[tuple[str, Any]]:
    """Return the objects of a list, each with its place for messages.

    Raises:
        ValueError: If it is no list, or not of objects.
    """
    listed = []
    for number, item in enumerate(field(found, name, list, path)):
        where = f'{path}, {name}[{number}]'
        if not isinstance(item, Mapping):
            raise ValueError(
                f'{where} is {item!r:.60}, and no object in {{}}: correct the file'
            )
        listed.append((where, item))
    return listed
