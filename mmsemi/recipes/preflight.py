"""What of a training can be known to be wrong before its first step."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmsemi.datasets.multi_source_dataset import fill_parts
from mmsemi.engine.checks import endless
from mmsemi.engine.runner.multi_source_train_loop import resolve_schedules
from mmsemi.labeling.pseudo_label_folder import read_manifest
from mmsemi.models.utils.lengths import check_length
from mmsemi.registry import HOOKS

from .config import config_hooks
from .fingerprint import labeller
from .placeholders import PLACEHOLDER, find, strings

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
"""What a config must have to train."""


def check_config(cfg: Config, where: str) -> None:
    """Refuse a config that trains nothing, or whose numbers do not fit.

    Args:
        cfg: The stage's config.
        where: How messages call the stage.

    Raises:
        ValueError: If it has no model or the like, its loop has no length or never ends
            an epoch, a schedule begins after its end, or the batches do not fit the
            sampler.
    """
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise ValueError(f'{where} trains nothing: it has no {key}')
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
    """Refuse a loop or schedule of no length, and epochs that never end."""
    loop = cfg.train_cfg
    sampler: Any = cfg.train_dataloader.get('sampler') or {}
    kind = str(loop.get('type'))
    check_ends(cfg, where)
    lengths = {key: loop[key] for key in ('max_iters', 'max_epochs') if loop.get(key)}
    for key in ('max_iters', 'max_epochs'):
        length = loop.get(key)
        # epochs of a part may be a fraction
        part = key == 'max_epochs' and 'MultiSourceTrainLoop' in kind
        fits = _is_count(length) or (part and isinstance(length, float) and length > 0)
        if length is not None and not fits:
            raise ValueError(
                f'{where}: train_cfg.{key} = {length!r}: give an integer above 0'
            )
    if not lengths:
        raise ValueError(
            f'{where}: train_cfg has no length: give max_iters, or max_epochs'
        )
    schedules = cfg.get('param_scheduler') or []
    schedules = schedules if isinstance(schedules, Sequence) else [schedules]
    ours = 'MultiSourceTrainLoop' in kind
    if ours and 'max_iters' not in lengths and sampler.get('num_per_source'):
        _check_epochs(loop, sampler.num_per_source, where)
    for key in ('val_interval', 'val_begin') if ours else ():
        check_length(loop.get(key, 1), f'{where}: train_cfg.{key}')
    shares = [
        f'{schedule.get("type")}.{key}={schedule[key]}'
        for schedule in schedules
        for key in ('begin', 'end')
        if isinstance(schedule.get(key), float)
    ]
    if shares and not ours:
        # mmengine would take them for steps
        raise ValueError(
            f'{where}: {shares[0]} is a share of the training, which {kind} does not '
            "count: set train_cfg.type='MultiSourceTrainLoop', or give steps"
        )
    if 'max_iters' in lengths:
        try:
            resolve_schedules(copy.deepcopy(list(schedules)), loop.max_iters)
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from error


def check_ends(cfg: Config, where: str) -> None:
    """Refuse epochs that never end.

    Raises:
        ValueError: If a loop waits for the end of a mixture, which is drawn endlessly.
    """
    loop = cfg.get('train_cfg') or {}
    sampler: Any = (cfg.get('train_dataloader') or {}).get('sampler') or {}
    kind = str(loop.get('type', 'EpochBasedTrainLoop' * bool(loop.get('by_epoch'))))
    if 'MultiSourceSampler' in str(sampler.get('type')) and 'EpochBased' in kind:
        parts = sampler.get('num_per_source') or ['unlabeled']
        raise ValueError(f'{where}: {endless(kind, loop.get("max_epochs"), parts)}')


def _check_epochs(loop: Mapping, shares: Mapping, where: str) -> None:
    """Refuse epochs of a part that is not drawn from."""
    counted = loop.get('epoch_of', 'unlabeled')
    parts = [counted] if isinstance(counted, str) else list(counted)
    for part in [*parts, *([loop['repeat']] if loop.get('repeat') else [])]:
        if part not in shares:
            raise ValueError(
                f'{where}: train_cfg counts epochs of the part {part!r}, but the '
                f'training draws from {list(shares)}: set train_cfg.epoch_of to a '
                'part, or give max_iters'
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_labels(planned: Mapping, cfg: Mapping, where: str) -> None:
    """Refuse masks that are no pseudo-labels in the place of a stage's.

    Args:
        planned: The stage's config as the recipe has it.
        cfg: The same with the options of the command line.
        where: How messages call the stage.

    Raises:
        ValueError: If there are such, the ground truth perhaps.
    """
    for key, value in strings(planned):
        part, _, name = key.rpartition('.data_prefix.')
        labels, given = PLACEHOLDER.search(value), find(cfg, key)
        if name != 'seg_map_path' or labels is None or given == value or not given:
            continue
        folder = os.path.join((find(cfg, part) or {}).get('data_root') or '', given)
        if not PLACEHOLDER.search(folder) and read_manifest(folder) is None:
            raise ValueError(
                f'{where}: {key}={given!r} takes the place of the labels of '
                f'stage {labels["folder"]!r}, but {folder} has no manifest of '
                'pseudo-labels: is it the ground truth? Give a folder that '
                'tools/generate_pseudo_labels.py wrote'
            )


def check_labelling(cfg: Config, folder: os.PathLike, where: str) -> None:
    """Refuse settings of the hooks that label, and a folder that holds other files.

    Args:
        cfg: The stage's config.
        folder: The stage's.
        where: How messages call the stage.

    Raises:
        ValueError: If a setting is unknown or outside its range, or there are such
            files, the ground truth perhaps.
    """
    for key, hook in config_hooks(cfg):
        kind = labeller(hook)
        if kind is None:
            continue
        try:
            HOOKS.build(copy.deepcopy(hook))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{where}: {key}: {kind.__name__}: {error}') from error
        name = hook.get('out_dir', kind.out_dir_default)
        kind.check_folder(os.path.join(folder, name))


def check_lists(cfg: Config, where: str) -> None:
    """Refuse a stage whose lists of images are not there.

    Lists that an earlier stage is to write, by a placeholder, are left out.

    Args:
        cfg: The stage's config.
        where: How messages call the stage.

    Raises:
        FileNotFoundError: If a list does not exist.
    """
    cfg = copy.deepcopy(cfg)
    dataset = cfg.train_dataloader.get('dataset')
    if isinstance(dataset, Mapping) and 'MultiSourceDataset' in str(
        dataset.get('type')
    ):
        split, root = dataset.get('split'), dataset.get('data_root')
        cfg.train_dataloader.dataset = fill_parts(dataset, split, root)
    for part in ('train_dataloader', 'val_dataloader', 'default_hooks', 'custom_hooks'):
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
