"""Fields of JSON files that others wrote, checked before they are used."""

from collections.abc import Mapping
from typing import Any

from .atomic import PathLike

Kind = type | tuple[type, ...]
WORDS: dict[Kind, str] = {
    str: 'a text',
    int: 'an integer',
    list: 'a list',
    (int, str): 'an integer or a text',
    (int, float): 'a number',
}


def field(item: Mapping, name: str, kind: Kind, where: PathLike) -> Any:
    """Return a field of an object.

    Args:
        item: The object.
        name: The field's name.
        kind: What it must be; a truth value is no number.
        where: How messages call the object.

    Raises:
        ValueError: If there is no such field, or it is of another kind.
    """
    if not isinstance(item, Mapping):
        raise ValueError(f'{where} is {item!r:.60}: it must be an object in {{}}')
    if name not in item:
        raise ValueError(f'{where} has no {name!r}: add it, or delete the object')
    value = item[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f'{where}: {name} = {value!r:.60} must be {WORDS[kind]}: correct it, or '
            'delete the object'
        )
    return value


def objects(found: Mapping, name: str, path: PathLike) -> list[tuple[str, Any]]:
    """Return the objects of a list, each with its place for messages.

    Raises:
        ValueError: If it is no list.
    """
    listed = field(found, name, list, path)
    return [(f'{path}, {name}[{number}]', item) for number, item in enumerate(listed)]
