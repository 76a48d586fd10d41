"""What of a later stage can be known to be wrong before the first one starts."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from .placeholders import PLACEHOLDER

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
"""What a config must have to train."""


def check_config(cfg: Config, where: str) -> None:
    """Refuse a config that trains nothing, or whose batches do not fit its sampler.

    Args:
        cfg: The stage's config.
        where: How messages call the stage.

    Raises:
        ValueError: If it is so.
    """
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise ValueError(
                f'{where}: its config, {cfg.filename}, trains nothing: it has no {key}'
            )
    loader = cfg.train_dataloader
    shares = (loader.get('sampler') or {}).get('num_per_source')
    if not isinstance(shares, Mapping):
        return
    dataset = loader.get('dataset') or {}
    parts = [name for name, part in dataset.items() if isinstance(part, Mapping)]
    unknown = sorted(set(shares) - set(parts))
    if unknown:
        raise ValueError(
            f'{where}: the sampler draws from {unknown[0]!r} (num_per_source = '
            f'{dict(shares)}), but the parts of the data set are {parts}'
        )
    if sum(shares.values()) != loader.get('batch_size'):
        raise ValueError(
            f'{where}: train_dataloader.batch_size = {loader.get("batch_size")}, but '
            f'num_per_source = {dict(shares)} sums to {sum(shares.values())}: set '
            'both to fit'
        )


def check_lists(cfg: Config, where: str) -> None:
    """Refuse a stage whose lists of images are not there.

    Lists that an earlier stage is to write, by a placeholder, are left out.

    Args:
        cfg: The stage's config.
        where: How messages call the stage.

    Raises:
        FileNotFoundError: If a list does not exist.
    """
    for part in ('train_dataloader', 'val_dataloader', 'custom_hooks'):
        for key, path in _lists(cfg.get(part), part):
            if not (PLACEHOLDER.search(path) or '://' in path or os.path.isfile(path)):
                raise FileNotFoundError(
                    f'{where}: the list {path} ({key}) does not exist: correct '
                    'ann_file or data_root, or make it with tools/make_splits.py'
                )


def _lists(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (key path, file) of the lists of images in nested containers."""
    if isinstance(value, Mapping):
        listed = value.get('ann_file')
        if isinstance(listed, str) and listed:
            path = os.path.join(value.get('data_root') or '', listed)
            yield f'{key}.ann_file', path
        for name, inner in value.items():
            yield from _lists(inner, f'{key}.{name}')
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from _lists(inner, f'{key}.{i}')
