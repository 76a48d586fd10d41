"""Images, boxes, tags and weights of later stages, before the first one starts."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsemi.datasets.wrapped import check_images, inner_datasets
from mmsemi.registry import DATASETS

from .placeholders import PLACEHOLDER, strings
from .stage import Stage

LOADERS = ('train_dataloader', 'val_dataloader')
"""Where a stage's data sets are, besides its hooks."""


def check_inputs(stages: Sequence[Stage]) -> None:
    """Refuse files that would stop a later stage at its start.

    The first of the stages looks at its own in a moment. What an earlier stage is to
    write, by a placeholder, is left out; nothing is looked at twice.

    Args:
        stages: Those that are not done, in order.

    Raises:
        FileNotFoundError: If a checkpoint, an image, a mask, or the boxes or tags of
            an image do not exist.
        ValueError: If such a file, or the data set itself, is wrong.
    """
    seen: list[dict] = []
    for number, stage in enumerate(stages):
        cfg, where = stage.config(), f'stage {stage.name!r}'
        _check_weights(cfg, where)
        for key, dataset in _datasets(cfg):
            if dataset in seen:
                continue
            seen.append(dataset)
            if number > 0:
                _look(dataset, cfg, f'{where}: {key}')


def _check_weights(cfg: Config, where: str) -> None:
    """Refuse a checkpoint that is not there; addresses are left to mmengine."""
    for key, path in strings(cfg.to_dict()):
        name = key.rpartition('.')[2]
        if not (name == 'load_from' or name.endswith('checkpoint')):
            continue
        if '://' in path or PLACEHOLDER.search(path) or os.path.isfile(path):
            continue
        raise FileNotFoundError(
            f'{where}: the checkpoint {path} ({key}) does not exist: correct the path, '
            'or download it'
        )


def _datasets(cfg: Config) -> Iterator[tuple[str, dict]]:
    """Yield (key path, config) of the data sets, without what is not there yet."""
    owners = [(name, cfg.get(name)) for name in LOADERS]
    hooks = enumerate(cfg.get('custom_hooks') or [])
    owners += [(f'custom_hooks.{number}', hook) for number, hook in hooks]
    for key, owner in owners:
        dataset = (owner or {}).get('dataset')
        if not isinstance(dataset, Mapping) or 'type' not in dataset:
            continue
        parts = {
            k for k, v in dataset.items() if isinstance(v, Mapping) and 'type' in v
        }
        written = {name for name in parts if _waits(dataset[name])}
        left = {k: v for k, v in dataset.items() if k not in written}
        if not _waits(left) and (parts > written or not parts):
            yield f'{key}.dataset', left


def _waits(dataset: Mapping) -> bool:
    """Return whether an earlier stage writes something of it."""
    return any(PLACEHOLDER.search(text) for _, text in strings(dataset))


def _look(dataset: dict, cfg: Config, where: str) -> None:
    """Build a data set, which checks its files, and look at boxes and tags."""
    scope = cfg.get('default_scope') or 'mmseg'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            for inner in inner_datasets(DATASETS.build(copy.deepcopy(dataset))):
                check_images(inner)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{where}: {error}') from error
    except (KeyError, TypeError, ValueError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f'{where}: {reason}') from error
