"""Whether a config has changed since a stage was started or done."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config

from mmsemi.registry import HOOKS

from .config import TRAINING_KEYS, config_hooks

NOT_HASHED = (
    'work_dir',
    'launcher',
    'resume',
    'log_level',
    'log_processor',
    'vis_backends',
    'visualizer',
)
"""Settings of a config that may change between a run and its resume."""

NEUTRAL = ('num_workers', 'persistent_workers', 'prefetch_factor', 'truth_dir')
"""Settings anywhere in a config that change no weight, list or label."""


def fingerprint(cfg: Config) -> tuple[dict, str]:
    """Return a config as JSON has it, and its SHA-256."""
    values = clean({k: v for k, v in cfg.to_dict().items() if k in TRAINING_KEYS})
    text = json.dumps(values, sort_keys=True, default=_name)
    return json.loads(text), hashlib.sha256(text.encode()).hexdigest()


def clean(values: dict) -> dict:
    """Return a config without what may change between a run and its resume."""
    values = {k: v for k, v in values.items() if k not in NOT_HASHED}
    values = _without(values, NEUTRAL)
    for name in ('logger', 'visualization'):
        (values.get('default_hooks') or {}).pop(name, None)
    for _, hook in config_hooks(values):
        # of the true masks, which are read for a report only
        (hook.get('dataset') or {}).pop('seg_map_suffix', None)
    return values


def _without(value: Any, keys: Collection[str]) -> Any:
    """Return a copy of nested containers without some keys of dicts."""
    if isinstance(value, dict):
        return {k: _without(v, keys) for k, v in value.items() if k not in keys}
    if isinstance(value, (list, tuple)):
        return [_without(inner, keys) for inner in value]
    return value


def _name(value: Any) -> str:
    """Name a class or function; its repr may hold an address."""
    module, name = (getattr(value, a, '') for a in ('__module__', '__qualname__'))
    return f'{module}.{name}' if name else repr(value)


def first_difference(old: Any, new: Any, key: str = '') -> str:
    """Return the first key whose value differs, with both values, or ''."""
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        pairs = [(k, old.get(k, 'absent'), new.get(k, 'absent')) for k in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(i, old[i], new[i]) for i in range(len(old))]
    elif old != new:
        return f'{key} was {_short(old)}, is {_short(new)}'
    for k, a, b in pairs:
        found = first_difference(a, b, f'{key}.{k}' if key else str(k))
        if found:
            return found
    return ''


def _short(value: Any) -> str:
    """Write a value on a line; of a long text its end tells more."""
    text = repr(value)
    return text if len(text) <= 160 else f'{text[:40]}…{text[-120:]}'


def without_labelling(config: dict) -> dict:
    """Return a config without the hooks that label, which change no weight."""
    named = config.get('default_hooks') or {}
    others = config.get('custom_hooks') or []
    return dict(
        config,
        default_hooks={k: h for k, h in named.items() if labeller(h) is None},
        custom_hooks=[h for h in others if labeller(h) is None],
    )


def labeller(hook: Any) -> Any:
    """Return the class of a hook's config if it only labels, after the last step."""
    kind = hook.get('type') if isinstance(hook, Mapping) else None
    found = HOOKS.get(kind) if isinstance(kind, str) else kind
    return found if getattr(found, 'labels_only', False) else None
