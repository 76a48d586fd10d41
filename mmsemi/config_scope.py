"""What mmengine writes into a config that inherits from ``mmsemi::…``."""

from typing import TypeVar

from mmengine.config import Config

T = TypeVar('T')


def without_scope(node: T) -> T:
    """Take every ``_scope_='mmsemi'`` out of a config, in place, and return it.

    mmengine marks what comes from a base of another package so, and keeps the mark in
    some dicts whose readers know no such key. Where types are looked up in mmsemi
    anyway (``default_scope = 'mmsemi'``), none is needed.

    Args:
        node: Config, or a part of it.
    """
    if isinstance(node, (dict, Config)):
        if node.get('_scope_') == 'mmsemi':
            node.pop('_scope_')
        for value in node.values():
            without_scope(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            without_scope(value)
    return node
