"""Run the stages of a recipe in one process."""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.dist import barrier, broadcast_object_list, is_main_process
from mmengine.logging import print_log

from .launch import adapt_to_machine, join_processes, train
from .stage import Stage
from .stage_checks import check_label_folders, check_labelling, check_lists
from .stage_inputs import check_inputs
from .stage_state import State, check_states, read_paths, read_state, write_note

T = TypeVar('T')


def run_stages(
    stages: list[Stage], *, resume: bool = False, launcher: str = 'none', again: str
) -> None:
    """Train the stages of a recipe in order, each in its folder.

    Args:
        stages: From :func:`mmsemi.engine.runner.recipe.read_recipe`.
        resume: Leave out the stages that are done, and go on with one that was cut.
            By default nothing may be there.
        launcher: As of mmengine's Runner.
        again: The command that goes on after a failure, for its message.

    Raises:
        FileExistsError: Without ``resume``, there is a stage's work.
        FileNotFoundError: If a list, an image, boxes, tags or weights of any stage
            are missing.
        BlockingIOError: If another process runs stages in the folder.
        ValueError: If a stage does not fit this machine, its files are wrong, or its
            work was done with another config.
        RuntimeError: If a stage fails; its cause is the failure.
    """
    for stage in stages:
        cfg = _prepared(stage, {}, launcher)
    join_processes(cfg)
    lock = FileLock(stages[0].folder.parent / 'recipe.lock')
    from_rank_0(lambda: _take(lock))
    try:
        _run_all(stages, resume, launcher, again)
    finally:
        lock.release()


def _take(lock: FileLock) -> None:
    """Let no second run write to the folder; the system frees it at any end."""
    folder = Path(lock.lock_file).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(
            f'{folder} is in use by another run: wait for its end, or choose another '
            '--work-dir'
        ) from None
    except OSError as error:
        raise OSError(
            f'the work dir {folder} cannot be written ({error.strerror}): choose '
            'another --work-dir, or correct this'
        ) from error


def _run_all(stages: list[Stage], resume: bool, launcher: str, again: str) -> None:
    states = from_rank_0(lambda: check_states(stages, resume))
    for stage, state in zip(stages, states, strict=True):
        if not state.done:
            check_lists(stage.config(), f'stage {stage.name!r}')
            check_label_folders(stage.config(), stage.folder)
            check_labelling(stage.config(), f'stage {stage.name!r}')
    from_rank_0(lambda: check_inputs(list(zip(stages, states, strict=True))))
    for number, (stage, state) in enumerate(zip(stages, states, strict=True), 1):
        title = f'Stage {number} of {len(stages)}, {stage.name}, in {stage.folder}'
        print_log(f'{title}: {state}', logger='current')
        if state.done:
            continue
        try:
            _run_stage(stage, state, stages[: number - 1], launcher)
        except Exception as error:
            done = ', '.join(s.name for s in stages[: number - 1]) or 'none'
            raise RuntimeError(
                f'{title}, failed: {type(error).__name__}: {error}\n'
                f'Stages done: {done}. Remove the cause and go on with:\n  {again}'
            ) from error
        # a network and its optimiser state may live on in circles
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _run_stage(stage: Stage, state: State, earlier: list[Stage], launcher: str) -> None:
    paths = from_rank_0(lambda: read_paths(stage, earlier))
    cfg = _prepared(stage, paths, launcher)
    if state.checkpoint is not None:
        cfg.resume, cfg.load_from = True, state.checkpoint
    # a process that starts with this stage finds it so
    torch.backends.cudnn.benchmark = False
    if state.checkpoint is None and is_main_process():
        write_note(stage, 'started')
    iteration = train(cfg)
    barrier()
    if is_main_process():
        write_note(stage, 'done', iteration)
    barrier()


def _prepared(stage: Stage, paths: dict[str, str], launcher: str) -> Config:
    """Return a stage's config as the Runner takes it."""
    cfg = stage.config(paths)
    cfg.launcher = launcher
    cfg.work_dir = str(stage.folder)
    # Loggers, message hubs and visualizers are found by name, and a stage would go on
    # with those of the stage before.
    title = cfg.get('experiment_name') or Path(stage.base.filename).stem
    cfg.experiment_name = f'{title}_{stage.name}'
    if cfg.get('visualizer'):
        cfg.visualizer.name = f'{cfg.visualizer.get("name", title)}_{stage.name}'
    try:
        adapt_to_machine(cfg)
    except ValueError as error:
        raise ValueError(f'stage {stage.name!r}: {error}') from error
    return cfg


def from_rank_0(decide: Callable[[], T]) -> T:
    """Let rank 0 decide from its disk; all get its result, or raise its error."""
    box: list = [None, None]
    if is_main_process():
        try:
            box[0] = decide()
        except Exception as error:
            box[1] = error
    broadcast_object_list(box)
    if box[1] is not None:
        raise box[1]
    return box[0]


def plan(stages: list[Stage]) -> str:
    """Describe each stage: its state, its length, and what it reads."""
    folder = stages[0].folder.parent
    lines = [f'{len(stages)} stages in {folder}']
    for number, stage in enumerate(stages, 1):
        loop = _prepared(stage, {}, 'none').train_cfg
        length = f'{loop.get("max_iters")} iterations'
        if loop.get('max_iters') is None:
            length = f'{loop.get("max_epochs")} epochs'
        lines += [
            f'{number}. {stage.name}: {read_state(stage)}',
            f'     {os.path.relpath(stage.base.filename)}, {length}',
        ]
        lines += [f'     reads {r.stage}: {r.key}={r.value}' for r in stage.reads]
    return '\n'.join(lines)
