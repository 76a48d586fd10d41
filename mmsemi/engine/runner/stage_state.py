"""How far each stage of a recipe is, as its folder tells."""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsemi.datasets.atomic import replacing

from .launch import last_checkpoint
from .stage import Stage, checkpoint_hooks

NOT_HASHED = ('work_dir', 'launcher', 'log_level', 'log_processor', 'vis_backends')
"""Settings of a config that may change between a run and its resume."""

NEUTRAL = ('num_workers', 'persistent_workers', 'prefetch_factor', 'truth_dir')
"""Settings anywhere in a config that change no weight, list or label."""


@dataclass(frozen=True)
class State:
    """How far a stage is.

    Attributes:
        done: Its training and what its hooks do after it are done.
        iteration: The last one, of a stage that is done.
        checkpoint: The last one, of a stage that is not.
        changed: How its config has changed since it was done or started.
    """

    done: bool = False
    iteration: int = 0
    checkpoint: str | None = None
    changed: str = ''

    @property
    def touched(self) -> bool:
        """Whether there is something to go on from, or to lose."""
        return self.done or self.checkpoint is not None

    def __str__(self) -> str:
        if self.changed:
            how = 'done' if self.done else 'cut, and started'
            return f'{how} with another config: {self.changed}'
        if self.done:
            return f'done ({self.iteration} iterations)'
        if self.checkpoint is None:
            return 'to do'
        step = Path(self.checkpoint).stem.replace('iter_', 'iteration ')
        return f'cut at {step.replace("epoch_", "epoch ")}'


def read_state(stage: Stage) -> State:
    """Read a stage's state from its folder.

    Raises:
        ValueError: If ``done.json`` or ``started.json`` cannot be read.
    """
    done = stage.folder / 'done.json'
    if done.is_file():
        iteration, changed = _compare(stage, done)
        return State(done=True, iteration=iteration, changed=changed)
    if not (stage.folder / 'last_checkpoint').is_file():
        return State()
    started = stage.folder / 'started.json'
    changed = _compare(stage, started)[1] if started.is_file() else ''
    return State(checkpoint=_last_of(stage), changed=changed)


def _last_of(stage: Stage) -> str | None:
    """Return a stage's last checkpoint, and none of another folder."""
    path = last_checkpoint(str(stage.folder))
    elsewhere = any(hook.get('out_dir') for hook in checkpoint_hooks(stage.config()))
    if path and not elsewhere and Path(path).parent != stage.folder:
        raise FileNotFoundError(
            f'{stage.folder / "last_checkpoint"} names {path}, which is not in its '
            'folder: put the checkpoint back, or delete the folder to train the stage '
            'again'
        )
    return path


def _compare(stage: Stage, path: Path) -> tuple[int, str]:
    """Read a note; return its iteration, and how the config has changed since."""
    try:
        note = json.loads(path.read_text('utf-8'))
        iteration, old, digest = note['iteration'], note['config'], note['sha256']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}): delete {stage.folder} to train this '
            'stage again'
        ) from error
    config, now = fingerprint(stage.config())
    changed = '' if digest == now else first_difference(old, config) or 'its hash'
    return iteration, changed


def write_note(stage: Stage, name: str, iteration: int = 0) -> None:
    """Note that a stage is started or done, in one piece.

    Args:
        stage: The stage.
        name: ``'started'`` or ``'done'``.
        iteration: The last one.
    """
    config, digest = fingerprint(stage.config())
    note = dict(sha256=digest, iteration=iteration, config=config)
    stage.folder.mkdir(parents=True, exist_ok=True)
    with replacing(stage.folder / f'{name}.json') as aside:
        with open(aside, 'w', encoding='utf-8') as file:
            json.dump(note, file, indent=1)
            file.flush()
            os.fsync(file.fileno())


def fingerprint(cfg: Config) -> tuple[dict, str]:
    """Return a config as JSON has it, and its SHA-256."""
    values = {k: v for k, v in cfg.to_dict().items() if k not in NOT_HASHED}
    values = _without(values, NEUTRAL)
    (values.get('default_hooks') or {}).pop('logger', None)
    text = json.dumps(values, sort_keys=True, default=_name)
    return json.loads(text), hashlib.sha256(text.encode()).hexdigest()


def _without(value: Any, keys: Collection[str]) -> Any:
    """Return a copy of nested containers without some keys of dicts."""
    if isinstance(value, dict):
        return {k: _without(v, keys) for k, v in value.items() if k not in keys}
    if isinstance(value, (list, tuple)):
        return [_without(inner, keys) for inner in value]
    return value


def _name(value: Any) -> str:
    """Name a class or function; its repr may hold an address."""
    module, name = (getattr(value, a, '') for a in ('__module__', '__qualname__'))
    return f'{module}.{name}' if name else repr(value)


def first_difference(old: Any, new: Any, key: str = '') -> str:
    """Return the first key whose value differs, with both values, or ''."""
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        pairs = [(k, old.get(k, 'absent'), new.get(k, 'absent')) for k in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(i, old[i], new[i]) for i in range(len(old))]
    elif old != new:
        return f'{key} was {_short(old)}, is {_short(new)}'
    for k, a, b in pairs:
        found = first_difference(a, b, f'{key}.{k}' if key else str(k))
        if found:
            return found
    return ''


def _short(value: Any) -> str:
    """Write a value on a line; of a long text its end tells more."""
    text = repr(value)
    return text if len(text) <= 160 else f'{text[:40]}…{text[-120:]}'


def check_states(stages: list[Stage], resume: bool) -> list[State]:
    """Read the states and refuse what cannot be gone on from.

    Args:
        stages: All of a recipe.
        resume: Go on with what is there; otherwise nothing may be there.

    Raises:
        FileExistsError: Without ``resume``, there is a stage's work.
        FileNotFoundError: If a checkpoint is gone that is still to be read.
        ValueError: If a stage was done or started with another config, or from the
            work of a stage that is gone.
    """
    states = [read_state(stage) for stage in stages]
    work = [f'{s.name} ({x})' for s, x in zip(stages, states, strict=True) if x.touched]
    if work and not resume:
        raise FileExistsError(
            f'{stages[0].folder.parent} holds {", ".join(work)}: add --resume to go '
            'on, or choose another --work-dir'
        )
    by_name = {s.name: x for s, x in zip(stages, states, strict=True)}
    for stage, state in zip(stages, states, strict=True):
        if state.changed:
            raise ValueError(
                f'stage {stage.name!r} is {state}; take the old config, or delete '
                f'{stage.folder} to train it again'
            )
        for source in stage.sources:
            if state.touched and not by_name[source].done:
                raise ValueError(
                    f'stage {stage.name!r} is {state}, but {source!r}, which it reads, '
                    f'is not done any more: delete {stage.folder} as well'
                )
        if not state.done:
            read = [s for s in stages if s.name in stage.sources]
            read_paths(stage, [s for s in read if by_name[s.name].done])
    return states


def read_paths(stage: Stage, stages: list[Stage]) -> dict[str, str]:
    """Find the paths for a stage's placeholders, as far as given stages have them.

    Args:
        stage: The stage that reads.
        stages: The stages that are done.

    Raises:
        FileNotFoundError: If a checkpoint is not there.
    """
    paths = {'{work_dir}': str(stage.folder.parent)}
    done = {s.name: s for s in stages}
    for reads in stage.reads:
        if reads.what and reads.stage in done:
            paths[reads.token] = _checkpoint(done[reads.stage], reads.what)
    return paths


def _checkpoint(stage: Stage, what: str) -> str:
    path = last_checkpoint(str(stage.folder))
    if what == 'best':
        folders = [stage.folder]
        for hook in checkpoint_hooks(stage.config()):
            if hook.get('out_dir'):
                # mmengine adds the work dir's name
                folders.append(Path(hook['out_dir'], stage.name))
        found = [p for folder in folders for p in folder.glob('best_*.pth')]
        # a kill may have left the former best
        found.sort(key=lambda p: p.stat().st_mtime)
        path = str(found[-1]) if found else None
    if path is None or not os.path.isfile(path):
        raise FileNotFoundError(
            f'stage {stage.name!r} is done, but its {what} checkpoint is not in '
            f'{stage.folder}: put it back, or delete the folder to train it again'
        )
    return path
