"""The options of a command line: whose they are, and whether anything reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from .config import TRAINING_KEYS
from .placeholders import PLACEHOLDER
from .unknown_keys import nearest


def split_options(options: dict, names: list[str]) -> tuple[dict, dict[str, dict]]:
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
        if name not in own or not name or not rest:
            known = [n for n in names if n] or 'none, since the config has no stages'
            raise ValueError(
                f'--cfg-options {key}: write stages.<name>.<key>=<value> with a name '
                f'of {known}'
            )
        own[name][rest] = value
    return common, own


def refuse_unread(options: dict, cfg: Config, where: str) -> None:
    """Refuse an option that nothing would read."""
    for key in options:
        first = key.split('.')[0]
        if first in TRAINING_KEYS or first == 'method':
            continue
        read = {k: v for k, v in cfg.to_dict().items() if k in TRAINING_KEYS}
        places = list(dict.fromkeys(_places(read, first)))
        problem = f'{where} has no key {first!r}: {nearest(first, TRAINING_KEYS)}'
        if first in cfg:
            problem = (
                f'{first!r} is a variable of {where}, which nothing reads once the '
                'file is read: change the keys that were made of it'
            )
        if places:
            problem = f'{problem.partition(":")[0]}: set {" and ".join(places[:6])}'
        raise ValueError(f'--cfg-options {key}: {problem}')


def _places(value: Any, name: str, key: str = '') -> Iterator[str]:
    """Yield the paths of keys of a name, or of where a set of parts takes it."""
    if not isinstance(value, Mapping):
        return
    if name in value:
        yield f'{key}.{name}' if key else name
        return
    found: list[str] = []
    for inner, item in value.items():
        found += _places(item, name, f'{key}.{inner}' if key else inner)
    if not found and 'MultiSourceDataset' in str(value.get('type')):
        found = [f'{key}.{name}'] * (name in FILLED)
    yield from found


FILLED = dict(split='ann_file', data_root='data_root')
"""What a set of parts takes once for all, and what it fills in a part without one."""


def refuse_unfilled(options: dict, cfg: Config, where: str) -> None:
    """Refuse an option for all parts if each part has its own."""
    for name, filled in FILLED.items():
        key = f'train_dataloader.dataset.{name}'
        dataset: Any = (cfg.get('train_dataloader') or {}).get('dataset') or {}
        parts = {k: v for k, v in dataset.items() if isinstance(v, Mapping)}
        if key in options and parts and all(filled in part for part in parts.values()):
            raise ValueError(
                f'--cfg-options {key}={options[key]}: every part of {where} has its '
                f'own {filled}, which counts: set '
                + ' and '.join(f'train_dataloader.dataset.{p}.{filled}' for p in parts)
            )


def refuse_outdone(options: dict, cfg: Config, where: str) -> None:
    """Refuse a length in epochs where one in steps counts before it."""
    loop = cfg.get('train_cfg') or {}
    key, steps = 'train_cfg.max_epochs', loop.get('max_iters')
    if options.get(key) is not None and steps is not None:
        raise ValueError(
            f'--cfg-options {key}={options[key]}: {where} has '
            f'train_cfg.max_iters={steps}, which counts before it: give steps, or add '
            'train_cfg.max_iters=None'
        )


def refuse_replaced(common: dict, planned: Mapping, where: str) -> None:
    """Refuse an option of all stages that takes the place of a stage's checkpoint."""
    own = planned.get('load_from')
    if 'load_from' in common and isinstance(own, str) and PLACEHOLDER.search(own):
        raise ValueError(
            f'--cfg-options load_from={common["load_from"]}: {where} starts from '
            f'{own}: give stages.<name>.load_from for the stage that shall start there'
        )


def of_stage(common: dict, planned: Mapping) -> dict:
    """Return the options of all stages, without the numbers of parts not drawn here."""
    loader = planned.get('train_dataloader') or {}
    shares = (loader.get('sampler') or {}).get('num_per_source')
    if not isinstance(shares, Mapping):
        return common
    prefix = 'train_dataloader.sampler.num_per_source.'
    return {
        key: value
        for key, value in common.items()
        if not key.startswith(prefix) or key.removeprefix(prefix) in shares
    }
