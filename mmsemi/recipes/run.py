"""Run a training, or the stages of a recipe, in one process."""

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

from mmsemi.engine.runner.launch import adapt_to_machine, join_processes, train

from .inputs import check_inputs
from .preflight import check_config, check_labelling, check_lists
from .stage import Stage
from .state import State, check_states, read_paths, read_state, write_note

T = TypeVar('T')


def run_stages(
    stages: list[Stage],
    *,
    resume: bool | str = False,
    launcher: str = 'none',
    again: str,
) -> None:
    """Check all that can be known, then train the stages in order, each in its folder.

    Args:
        stages: From :func:`mmsemi.recipes.read.read_stages`.
        resume: Leave out the stages that are done, and go on with one that was cut.
            By default nothing may be there. A path is the checkpoint that a plain
            config goes on from, whatever its folder holds.
        launcher: As of mmengine's Runner.
        again: The command that goes on after a failure, for its message.

    Raises:
        FileExistsError: Without ``resume``, there is a stage's work.
        FileNotFoundError: If a list, an image, boxes, tags or weights of any stage
            are missing.
        BlockingIOError: If another process runs stages in the folder.
        ValueError: If a stage does not fit this machine, its config or files are
            wrong, or its work was done with another config.
        RuntimeError: If a stage of several fails; its cause is the failure.
    """
    if isinstance(resume, str) and stages[0].name:
        raise ValueError(
            f'--resume {resume}: the config is a recipe, whose stages go on from their '
            'own last checkpoints: give --resume without a path'
        )
    *_, cfg = _checked(stages, launcher)
    join_processes(cfg)
    lock = FileLock(stages[0].root / 'recipe.lock')
    from_rank_0(lambda: _take(lock))
    try:
        _run_all(stages, resume, launcher, again)
    finally:
        lock.release()


def _checked(stages: list[Stage], launcher: str) -> list[Config]:
    """Return the stages' configs as the Runner takes them, or refuse one."""
    for stage in stages:
        check_config(stage.raw, stage.where)
    return [_prepared(stage, {}, launcher) for stage in stages]


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


def _run_all(
    stages: list[Stage], resume: bool | str, launcher: str, again: str
) -> None:
    if isinstance(resume, str):
        states = [State(checkpoint=resume)]
    else:
        states = from_rank_0(lambda: check_states(stages, resume))
    pairs = list(zip(stages, states, strict=True))
    for stage, state in pairs:
        if not state.done:
            check_lists(stage.raw, stage.title)
            check_labelling(stage.raw, stage.folder, stage.title)
    from_rank_0(lambda: check_inputs(pairs))
    for number, (stage, state) in enumerate(pairs, 1):
        title = f'Stage {number} of {len(stages)}, {stage.name}, in {stage.folder}'
        if stage.name or state.touched:
            print_log(f'{title if stage.name else stage.folder}: {state}', 'current')
        if state.done:
            continue
        try:
            if isinstance(resume, str) and is_main_process():
                # of a training before
                (stage.folder / 'done.json').unlink(missing_ok=True)
                write_note(stage, 'started')
            _run_stage(stage, state, stages[: number - 1], launcher)
        except Exception as error:
            if not stage.name:
                raise
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
    if stage.name:
        title = cfg.get('experiment_name') or Path(cfg.filename).stem
        cfg.experiment_name = f'{title}_{stage.name}'
        if cfg.get('visualizer'):
            cfg.visualizer.name = f'{cfg.visualizer.get("name", title)}_{stage.name}'
    try:
        adapt_to_machine(cfg)
    except ValueError as error:
        raise ValueError(f'{stage.title}: {error}') from error
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
    """Describe each stage: its state, its length, and what it reads.

    Raises:
        ValueError: As :func:`run_stages`, for what shows in the configs.
    """
    file = os.path.relpath(stages[0].raw.filename)
    lines = [
        f'{file}: {len(stages)} stage{"s" * (len(stages) > 1)} in {stages[0].root}'
    ]
    configs = _checked(stages, 'none')
    for number, (stage, cfg) in enumerate(zip(stages, configs, strict=True), 1):
        loop = cfg.train_cfg
        length = f'{loop.get("max_iters")} iterations'
        if loop.get('max_iters') is None:
            part = loop.get('epoch_of')
            length = f'{loop.get("max_epochs")} epochs' + (f' of {part!r}' * bool(part))
        lines.append(
            f'{number}. {stage.name or "train"}: {length}, {read_state(stage)}'
        )
        lines += [f'     reads {r.stage}: {r.key}={r.value}' for r in stage.reads]
    return '\n'.join(lines)
