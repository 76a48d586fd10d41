"""What the command-line tools do before mmengine's Runner takes over."""

import logging
import os
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.dist import init_dist, is_distributed
from mmengine.fileio import exists
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint
from mmengine.utils.dl_utils import set_multi_processing
from torch import Tensor, nn


def adapt_to_machine(cfg: Config) -> None:
    """Let a config written for GPUs run on what is there.

    Without a GPU several processes talk through gloo, SyncBN becomes BN (whose
    running statistics :class:`SemiDistributedDataParallel` averages) and half
    precision is bfloat16.

    Raises:
        ValueError: If a launcher of GPU clusters is asked for without a GPU, or a
            dataloader without workers shall keep them.
    """
    _check_workers(cfg)
    distributed = cfg.get('launcher', 'none') != 'none'
    if distributed and cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            # its path: mmengine looks at its root registry, which lacks our scope
            type='mmsemi.engine.SemiDistributedDataParallel',
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    if torch.cuda.is_available():
        return
    if cfg.get('optim_wrapper', {}).get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'mmsemi.CPUAmpOptimWrapper'
        for key in ('loss_scale', 'dtype'):
            cfg.optim_wrapper.pop(key, None)
    if distributed:
        if cfg.launcher != 'pytorch':
            raise ValueError(
                f'--launcher {cfg.launcher} needs GPUs, and there is none: without one '
                'use tools/dist_train.sh or tools/dist_test.sh (--launcher pytorch)'
            )
        _replace_sync_bn(cfg.model)
        if not dist.is_initialized():
            dist.init_process_group('gloo')


def join_processes(cfg: Config) -> None:
    """Let the processes of a launcher talk before there is a Runner, which would do it.

    Without a GPU :func:`adapt_to_machine` has done it.
    """
    if cfg.get('launcher', 'none') == 'none' or is_distributed():
        return
    env = cfg.get('env_cfg') or {}
    # in the Runner's order: init_dist would choose another way to start workers
    set_multi_processing(**env.get('mp_cfg', {}), distributed=True)
    init_dist(cfg.launcher, **env.get('dist_cfg', {}))


def _check_workers(cfg: Config) -> None:
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name) or {}
        if loader.get('persistent_workers') and not loader.get('num_workers'):
            raise ValueError(
                f'{name} has num_workers=0 and persistent_workers=True: set '
                f'{name}.persistent_workers=False, or num_workers to 1 or more'
            )


def _replace_sync_bn(node: object) -> None:
    if isinstance(node, (dict, ConfigDict)):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            _replace_sync_bn(child)


def _read_weights(path: str) -> dict[str, Tensor]:
    """Return the ``state_dict`` of a checkpoint."""
    if '://' not in path and not exists(path):
        raise FileNotFoundError(
            f'the checkpoint {path} does not exist: correct the path'
        )
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise ValueError(
            f'the checkpoint {path} cannot be read, it may be cut off: take another one'
        ) from error
    weights = checkpoint.get('state_dict', checkpoint)
    return {key.removeprefix('module.'): value for key, value in weights.items()}


def check_checkpoint(path: str, model: nn.Module, whole: bool) -> None:
    """Refuse a checkpoint of another model before it is half loaded.

    Args:
        path: The checkpoint.
        model: The model that is to load it, a method or a plain segmentor; a
            method also takes the checkpoint of one of its networks.
        whole: Every parameter must be there, as for a resume or a test.
            Otherwise half of them must, as for a start from other weights.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint does not fit, or is not whole.
    """
    saved = _read_weights(path)
    states = [model.state_dict()]
    networks: dict[str, nn.Module] = getattr(model, 'networks', dict)()
    prefixes = tuple(f'{name}.' for name in networks)
    if networks and not any(key.startswith(prefixes) for key in saved):
        states = [network.state_dict() for network in networks.values()]
    misfits = sorted(_misfit(state, saved) for state in states)
    # a start needs one network that fits, and says what the others lack
    wrong, total, _ = misfits[-1 if whole else 0]
    text = misfits[-1][2]
    if wrong > (0 if whole else total // 2):
        raise ValueError(
            f'the checkpoint {path} is of another model: {text}: give the config it '
            'was trained with'
        )
    if text:
        print_log(
            f'The checkpoint {path} is loaded in part: {text}. These keep their '
            'initial values.',
            logger='current',
            level=logging.WARNING,
        )


def _misfit(
    wanted: dict[str, Tensor], saved: dict[str, Tensor]
) -> tuple[int, int, str]:
    """Return how many of the wanted tensors do not fit, of how many, and which."""
    # a memory bank has as many rows as were filled
    wanted = {k: v for k, v in wanted.items() if 'memory_bank.data' not in k}
    wrong = [
        k for k, v in wanted.items() if k not in saved or saved[k].shape != v.shape
    ]
    if not wrong:
        return 0, len(wanted), ''
    key = wrong[0]
    found = tuple(saved[key].shape) if key in saved else 'nothing'
    return (
        len(wrong),
        len(wanted),
        f'{len(wrong)} of {len(wanted)} tensors do not fit, the first is {key} '
        f'(model {tuple(wanted[key].shape)}, checkpoint {found})',
    )


def last_checkpoint(folder: str) -> str | None:
    """Return the last checkpoint of a training, or None before its first.

    Args:
        folder: The training's work dir; it may have been moved since.
    """
    path = find_latest_checkpoint(folder)
    here = os.path.join(folder, os.path.basename(path or ''))
    return here if os.path.isfile(here) else path


def train(cfg: Config) -> int:
    """Train with a config that :func:`adapt_to_machine` has seen.

    Returns:
        The iteration it ended with.

    Raises:
        FileNotFoundError: If there is no such checkpoint as ``load_from``.
        ValueError: If the checkpoint is of another model.
    """
    runner = Runner.from_cfg(cfg)
    if cfg.get('load_from'):
        model = getattr(runner.model, 'module', runner.model)
        check_checkpoint(cfg.load_from, model, whole=bool(cfg.get('resume')))
    runner.train()
    return runner.iter
