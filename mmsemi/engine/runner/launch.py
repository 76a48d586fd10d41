"""What the command-line tools do before mmengine's Runner takes over."""

import logging
import os
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.fileio import exists
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge the options of the command line into it.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'the config {path} does not exist: the configs of mmsemi are under '
            'configs/, e.g. configs/u2pl/'
        )
    cfg = Config.fromfile(path)
    if options:
        cfg.merge_from_dict(options)
    return cfg


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Choose the folder: command line, then config, then the config's name."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def enable_amp(cfg: Config) -> None:
    """Train in half precision: float16 on a GPU, bfloat16 on the CPU.

    Raises:
        ValueError: If the config has an optimiser wrapper of another kind.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper', 'mmsemi.CPUAmpOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'--amp replaces OptimWrapper, but optim_wrapper.type is {kind!r}: '
            'remove --amp or choose OptimWrapper'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.loss_scale = 'dynamic'


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
            method also takes the checkpoint of its plain segmentor.
        whole: Every parameter must be there, as for a resume or a test.
            Otherwise half of them must, as for a start from other weights.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint does not fit, or is not whole.
    """
    saved = _read_weights(path)
    wanted = model.state_dict()
    student = getattr(model, 'student', None)
    if student is not None and not any(key.startswith('student.') for key in saved):
        wanted = student.state_dict()
    # a memory bank has as many rows as were filled
    wanted = {k: v for k, v in wanted.items() if 'memory_bank.data' not in k}
    wrong = [
        k for k, v in wanted.items() if k not in saved or saved[k].shape != v.shape
    ]
    if not wrong:
        return
    key = wrong[0]
    found = tuple(saved[key].shape) if key in saved else 'nothing'
    misfit = (
        f'{len(wrong)} of {len(wanted)} tensors do not fit, the first is {key} '
        f'(model {tuple(wanted[key].shape)}, checkpoint {found})'
    )
    if len(wrong) > (0 if whole else len(wanted) // 2):
        raise ValueError(
            f'the checkpoint {path} is of another model: {misfit}: give the config it '
            'was trained with'
        )
    print_log(
        f'The checkpoint {path} is loaded in part: {misfit}. These keep their initial '
        'values.',
        logger='current',
        level=logging.WARNING,
    )
