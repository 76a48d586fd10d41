"""One training of a recipe, and the checkpoints that it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from .config import config_hooks
from .placeholders import Reference, fill


@dataclass
class Stage:
    """One training: a stage of a recipe, or all that a plain config is.

    Attributes:
        name: Its name in the recipe, ``''`` of a plain config.
        folder: Its work dir.
        raw: Its config, in which placeholders stand for what other stages write.
        root: The recipe's work dir, which is the folder itself of a plain config.
        reads: What it reads from the stages before it and from itself.
    """

    name: str
    folder: Path
    raw: Config
    root: Path
    reads: list[Reference] = field(default_factory=list)

    def config(self, paths: Mapping[str, str] | None = None) -> Config:
        """Return a copy of the config.

        Args:
            paths: Placeholder -> path. By default the placeholders stay.
        """
        return Config(fill(self.raw.to_dict(), paths or {}), filename=self.raw.filename)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f'stage {self.name!r}' if self.name else 'the training'

    @property
    def where(self) -> str:
        """What messages about its config call it."""
        file = str(self.raw.filename)
        return f'{file}, {self.title}' if self.name else file

    @property
    def sources(self) -> list[str]:
        """Names of the earlier stages that it reads."""
        return list(dict.fromkeys(r.stage for r in self.reads if r.stage != self.name))


def check_checkpoints(stage: Stage, earlier: list[Stage], where: str) -> None:
    """Refuse checkpoints that are not written.

    Raises:
        ValueError: If an earlier stage writes none, or not one that is best.
    """
    hooks = {source.name: checkpoint_hooks(source.raw) for source in earlier}
    for reads in stage.reads:
        if not reads.what:
            continue
        written = hooks[reads.stage]
        if not written:
            raise ValueError(
                f'{where}: {reads.key}={reads.value!r}, but stage {reads.stage!r} '
                'writes no checkpoint: set its default_hooks.checkpoint'
            )
        best = [hook.get('save_best') for hook in written if hook.get('save_best')]
        if reads.what == 'best' and not (len(best) == 1 and _is_one(best[0])):
            raise ValueError(
                f'{where}: {reads.key}={reads.value!r}, but stage {reads.stage!r} '
                f'does not keep one best checkpoint (save_best={best or None}): set '
                "its default_hooks.checkpoint.save_best to one metric, e.g. 'mIoU', "
                f'or read {{{reads.stage}.last}}'
            )


def checkpoint_hooks(cfg: Config) -> list[Mapping]:
    """Return the configs of the hooks that write checkpoints."""
    hooks = [hook for _, hook in config_hooks(cfg)]
    if 'checkpoint' not in (cfg.get('default_hooks') or {}):
        # mmengine's Runner has one unless the config takes it away
        hooks.append(dict(type='CheckpointHook'))
    return [hook for hook in hooks if 'CheckpointHook' in str(hook.get('type'))]


def _is_one(save_best: object) -> bool:
    return isinstance(save_best, str) or len(save_best) == 1  # type: ignore[arg-type]
