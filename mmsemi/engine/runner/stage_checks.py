"""What of a later stage can be known to be wrong before the first one starts."""

import copy
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import LOOPS

from mmsemi.labeling.pseudo_label_folder import check_label_folder, read_manifest
from mmsemi.registry import HOOKS

from .fingerprint import LABELLING, hook_name
from .placeholders import PLACEHOLDER, Reference, find

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
"""What a config must have to train."""


LABEL_DIRS = dict(
    PseudoLabelHook='pseudo_labels',
    RandomWalkHook='pseudo_labels',
    AffinityLabelHook='affinity_labels',
)
"""The hooks that write labels, and where by default."""


def check_config(cfg: Config, where: str) -> None:
    """Refuse a config that trains nothing, or whose numbers do not fit.

    Args:
        cfg: The stage's config.
        where: How messages call the stage.

    Raises:
        ValueError: If it has no model or the like, its loop has an unknown key or no
            length, a schedule begins after its end, or the batches do not fit the
            sampler.
    """
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise ValueError(
                f'{where}: its config, {cfg.filename}, trains nothing: it has no {key}'
            )
    _check_length(cfg, where)
    loader = cfg.train_dataloader
    shares = (loader.get('sampler') or {}).get('num_per_source')
    if shares is None:
        return
    if not isinstance(shares, Mapping) or not all(map(_is_count, shares.values())):
        raise ValueError(
            f'{where}: num_per_source = {shares!r}: write how many images of each part '
            'make a batch, e.g. dict(labeled=4, unlabeled=4)'
        )
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
            f'{where}: train_dataloader.batch_size = {loader.get("batch_size")!r}, but '
            f'num_per_source = {dict(shares)} sums to {sum(shares.values())}: set '
            'both to fit'
        )


def _check_length(cfg: Config, where: str) -> None:
    """Refuse a loop of unknown keys or no length, and a schedule of no length."""
    loop = cfg.train_cfg
    kind = LOOPS.get(loop['type']) if isinstance(loop.get('type'), str) else None
    known = set(inspect.signature(kind).parameters) if kind else set(loop)
    unknown = sorted(set(loop) - known - {'type', 'by_epoch'})
    if unknown:
        raise ValueError(
            f'{where}: train_cfg has the unknown key {unknown[0]!r}; '
            f'{loop["type"]} knows {sorted(known - {"runner", "dataloader"})}'
        )
    lengths = {key: loop[key] for key in ('max_iters', 'max_epochs') if key in loop}
    for key, length in lengths.items():
        if not _is_count(length):
            raise ValueError(
                f'{where}: train_cfg.{key} = {length!r}: give an integer above 0'
            )
    schedules = cfg.get('param_scheduler') or []
    for schedule in schedules if isinstance(schedules, Sequence) else [schedules]:
        begin = schedule.get('begin', 0)
        end = schedule.get('end')
        if end is None and not schedule.get('by_epoch', True):
            end = lengths.get('max_iters')
        if isinstance(begin, int) and isinstance(end, int) and begin >= end:
            raise ValueError(
                f'{where}: the schedule {schedule.get("type")} begins at {begin}, but '
                f'ends at {end}: train longer, or shorten the schedules before it '
                '(param_scheduler)'
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_labels(cfg: Mapping, reads: Sequence[Reference], where: str) -> None:
    """Refuse masks that are no pseudo-labels in the place of a stage's.

    Args:
        cfg: The stage's config.
        reads: What the recipe lets it read; options may have replaced that.
        where: How messages call the stage.

    Raises:
        ValueError: If there are such, the ground truth perhaps.
    """
    for read in reads:
        part, _, name = read.key.rpartition('.data_prefix.')
        given = find(cfg, read.key)
        if name != 'seg_map_path' or given == read.value or not given:
            continue
        folder = os.path.join((find(cfg, part) or {}).get('data_root') or '', given)
        if not PLACEHOLDER.search(folder) and read_manifest(folder) is None:
            raise ValueError(
                f'{where}: {read.key}={given!r} takes the place of the labels of '
                f'stage {read.stage!r}, but {folder} has no manifest of pseudo-labels: '
                'is it the ground truth? Give a folder that '
                'tools/generate_pseudo_labels.py wrote'
            )


def check_label_folders(cfg: Config, folder: os.PathLike) -> None:
    """Refuse a folder for labels that holds other files.

    Args:
        cfg: The stage's config.
        folder: The stage's.

    Raises:
        ValueError: If there are such, the ground truth perhaps.
    """
    for hook in cfg.get('custom_hooks') or []:
        name = LABEL_DIRS.get(hook_name(hook or {}))
        if name is not None:
            check_label_folder(os.path.join(folder, hook.get('out_dir', name)))


def check_labelling(cfg: Config, where: str) -> None:
    """Refuse settings of the hooks that label before any stage trains.

    Raises:
        ValueError: If one is unknown or outside its range.
    """
    for hook in cfg.get('custom_hooks') or []:
        if hook and hook_name(hook) in LABELLING:
            try:
                HOOKS.build(copy.deepcopy(hook))
            except (TypeError, ValueError) as error:
                raise ValueError(f'{where}: {hook_name(hook)}: {error}') from error


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
