"""Images, masks, boxes, tags and weights, before the first step."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsemi.datasets.multi_source_dataset import MultiSourceDataset
from mmsemi.registry import DATASETS

from .config import config_hooks
from .fingerprint import labeller
from .placeholders import PLACEHOLDER, strings
from .stage import Stage
from .state import State


def check_inputs(stages: Sequence[tuple[Stage, State]]) -> None:
    """Refuse files that would stop a training later.

    The first stage looks at its training data in a moment. What an earlier stage is to
    write, by a placeholder, is left out; nothing is looked at twice.

    Args:
        stages: All, in order; those that are done are left out.

    Raises:
        FileNotFoundError: If a checkpoint, an image, a mask, or the boxes or tags of
            an image do not exist.
        ValueError: If such a file, or the data set itself, is wrong.
    """
    seen: list[dict] = []
    waiting = [(stage, state) for stage, state in stages if not state.done]
    for number, (stage, state) in enumerate(waiting):
        cfg, where = stage.raw, stage.title
        _check_weights(cfg, where, cut=state.checkpoint is not None)
        for key, dataset in _datasets(cfg):
            if dataset in seen:
                continue
            seen.append(dataset)
            if number > 0 or not key.startswith('train_dataloader'):
                _look(dataset, cfg, f'{where}: {key}')


def _check_weights(cfg: Config, where: str, *, cut: bool) -> None:
    """Refuse weights that are not there; addresses are left to mmengine."""
    listed = [] if cut else list(strings(cfg.get('load_from'), 'load_from'))
    for key, path in strings(cfg.get('model'), 'model'):
        if key.endswith(('checkpoint', '.pretrained')):
            listed.append((key, path))
    for key, path in listed:
        if '://' in path or PLACEHOLDER.search(path):
            continue
        if not os.path.isfile(os.path.expanduser(path)):
            raise FileNotFoundError(
                f'{where}: the checkpoint {path} ({key}) does not exist: correct the '
                'path, or download it'
            )


def _datasets(cfg: Config) -> Iterator[tuple[str, dict]]:
    """Yield (key path, config) of the data sets, without what is not there yet."""
    for name in ('train_dataloader', 'val_dataloader'):
        loader = cfg.get(name)
        if isinstance(loader, Mapping):
            yield from _ready(loader.get('dataset'), f'{name}.dataset')
    for key, hook in config_hooks(cfg):
        dataset = hook.get('dataset')
        if labeller(hook) is not None and isinstance(dataset, Mapping):
            dataset = dict(type='UnlabeledDataset') | dict(dataset)
        yield from _ready(dataset, f'{key}.dataset')


def _ready(dataset: Any, key: str) -> Iterator[tuple[str, dict]]:
    """Yield what there is already of a data set, if anything."""
    if not isinstance(dataset, Mapping) or 'type' not in dataset:
        return
    kind = getattr(dataset['type'], '__name__', dataset['type'])
    if str(kind).rpartition('.')[2] == 'MultiSourceDataset':
        parts = {k: v for k, v in dataset.items() if isinstance(v, Mapping)}
        written = {name for name, part in parts.items() if _waits(part)}
        if parts and not set(parts) - written:
            return
        dataset = {k: v for k, v in dataset.items() if k not in written}
    if not _waits(dataset):
        yield key, dict(dataset)


def _waits(dataset: Mapping) -> bool:
    """Return whether an earlier stage writes something of it."""
    return any(PLACEHOLDER.search(text) for _, text in strings(dataset))


def _look(dataset: dict, cfg: Config, where: str) -> None:
    """Build a data set and look at its files; MultiSourceDataset does it itself."""
    scope = cfg.get('default_scope') or 'mmseg'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            built = DATASETS.build(copy.deepcopy(dataset))
            if isinstance(built, MultiSourceDataset) or not hasattr(
                built, 'get_data_info'
            ):
                return
            if len(built) == 0 or 'img_path' in built.get_data_info(0):
                MultiSourceDataset(allow_overlap=True, images=built)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{where}: {error}') from error
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    except Exception as error:
        # an assertion of mmseg, or a key or a type that is none
        raise ValueError(f'{where}: {type(error).__name__}: {error}') from error
