"""How far each training is, as its folder tells."""

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mmengine.runner import CheckpointLoader

from mmsemi.datasets.atomic import replacing
from mmsemi.engine.runner.launch import last_checkpoint

from .fingerprint import clean, fingerprint, first_difference, without_labelling
from .stage import Stage, checkpoint_hooks

FORMAT = 2
"""Of the notes; those of earlier versions, whose recipes were lists, have none."""


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
    path, changed = _last_of(stage), ''
    if started.is_file():
        changed = _compare(stage, started)[1]
        if changed and path is not None and _is_last(path, stage):
            # its weights are final: the labels' manifest tells what they are made with
            changed = _compare(stage, started, labelling=True)[1]
    return State(checkpoint=path, changed=changed)


def _is_last(path: str, stage: Stage) -> bool:
    """Return whether a checkpoint is that of the last step."""
    length = (stage.raw.get('train_cfg') or {}).get('max_iters')
    if length is None:
        # counted in epochs: the training has noted how many steps they are
        state = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        info = state.get('message_hub', {}).get('runtime_info', {})
        length = info.get('max_iters')
    return Path(path).stem == f'iter_{length}'


def _last_of(stage: Stage) -> str | None:
    """Return a stage's last checkpoint, and none of another folder."""
    path = last_checkpoint(str(stage.folder))
    elsewhere = any(hook.get('out_dir') for hook in checkpoint_hooks(stage.raw))
    lost = path and not os.path.isfile(path)
    if path and (lost or (not elsewhere and Path(path).parent != stage.folder)):
        raise FileNotFoundError(
            f'{stage.folder / "last_checkpoint"} names {path}, which is not '
            f'{"there" if lost else "in its folder"}: put the checkpoint back, or '
            'delete the folder to train the stage again'
        )
    return path


def _compare(stage: Stage, path: Path, labelling: bool = False) -> tuple[int, str]:
    """Read a note; return its iteration, and how the config has changed since."""
    try:
        note = json.loads(path.read_text('utf-8'))
        iteration, old, digest = note['iteration'], note['config'], note['sha256']
        form = note.get('format')
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} cannot be read ({error}): delete {stage.folder} to train this '
            'stage again'
        ) from error
    if form != FORMAT:
        raise ValueError(
            f'{path} was written by another version of mmsemi, whose recipes had '
            'another form: finish it with that version, or choose another --work-dir'
        )
    config, now = fingerprint(stage.raw)
    if digest == now:
        return iteration, ''
    # what does not count may have become more
    old = clean(old)
    if labelling:
        old, config = without_labelling(old), without_labelling(config)
    return iteration, first_difference(old, config)


def write_note(stage: Stage, name: str, iteration: int = 0) -> None:
    """Note that a stage is started or done, in one piece.

    Args:
        stage: The stage.
        name: ``'started'`` or ``'done'``.
        iteration: The last one.
    """
    config, digest = fingerprint(stage.raw)
    note = dict(format=FORMAT, sha256=digest, iteration=iteration, config=config)
    stage.folder.mkdir(parents=True, exist_ok=True)
    with replacing(stage.folder / f'{name}.json') as aside:
        with open(aside, 'w', encoding='utf-8') as file:
            json.dump(note, file, indent=1)
            file.flush()
            os.fsync(file.fileno())


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
    _refuse_others(stages)
    states = [read_state(stage) for stage in stages]
    pairs = list(zip(stages, states, strict=True))
    work = [f'{s.name or "a training"} ({x})' for s, x in pairs if x.touched]
    if work and not resume:
        raise FileExistsError(
            f'{stages[0].root} holds {", ".join(work)}: add --resume to go on, or '
            'choose another --work-dir'
        )
    by_name = {stage.name: state for stage, state in pairs}
    for stage, state in pairs:
        if state.changed:
            raise ValueError(
                f'{stage.title} is {state}; take the old config, or train anew: '
                f'with load_from=… in another --work-dir, or after {stage.folder} is '
                'deleted'
            )
        for source in stage.sources:
            if state.touched and not by_name[source].done:
                raise ValueError(
                    f'{stage.title} is {state}, but {source!r}, which it reads, '
                    f'is not done any more: delete {stage.folder} as well'
                )
        if not state.done:
            _check_files(stage, [s for s in stage.sources if by_name[s].done])
            read = [s for s in stages if s.name in stage.sources]
            read_paths(stage, [s for s in read if by_name[s.name].done])
    return states


def _refuse_others(stages: list[Stage]) -> None:
    """Refuse a folder that another config has worked in.

    Raises:
        FileExistsError: If it holds stages of other names, or a plain config's work
            beside stages.
    """
    root, names = stages[0].root, {stage.name for stage in stages}
    found = {path.parent.name for path in root.glob('*/started.json')} - names
    if '' not in names and any(
        (root / f'{name}.json').is_file() for name in ('started', 'done')
    ):
        found.add('a training without stages')
    if found:
        raise FileExistsError(
            f'{root} holds {", ".join(sorted(found))} of another config: choose '
            'another --work-dir'
        )


def _check_files(stage: Stage, done: Collection[str]) -> None:
    """Refuse a stage whose files of stages that are done are gone."""
    for reads in stage.reads:
        path = reads.value.replace('{work_dir}', str(stage.root))
        if reads.what or reads.stage not in done or os.path.exists(path):
            continue
        folder = stage.folder.with_name(reads.stage)
        raise FileNotFoundError(
            f'{stage.title} reads {path} ({reads.key}), which stage '
            f'{reads.stage!r} has written and which is gone: put it back, or delete '
            f'{folder} to train that stage again'
        )


def read_paths(stage: Stage, stages: list[Stage]) -> dict[str, str]:
    """Find the paths for a stage's placeholders, as far as given stages have them.

    Args:
        stage: The stage that reads.
        stages: The stages that are done.

    Raises:
        FileNotFoundError: If a checkpoint is not there.
    """
    paths = {'{work_dir}': str(stage.root)}
    done = {s.name: s for s in stages}
    for reads in stage.reads:
        if reads.what and reads.stage in done:
            paths[reads.token] = _checkpoint(done[reads.stage], reads.what)
    return paths


def _checkpoint(stage: Stage, what: str) -> str:
    if what == 'last':
        path = _last_of(stage)
    else:
        folders = [stage.folder]
        for hook in checkpoint_hooks(stage.raw):
            if hook.get('out_dir'):
                # mmengine adds the work dir's name
                folders.append(Path(hook['out_dir'], stage.name))
        found = [p for folder in folders for p in folder.glob('best_*.pth')]
        # a kill may have left the former best
        found.sort(key=lambda p: p.stat().st_mtime)
        path = str(found[-1]) if found else None
    if path is None:
        raise FileNotFoundError(
            f'{stage.title} is done, but its {what} checkpoint is not in '
            f'{stage.folder}: put it back, or delete the folder to train it again'
        )
    return path
