"""One training of a recipe, and the checkpoints that it leaves."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .launch import enable_amp
from .placeholders import Reference, fill


@dataclass
class Stage:
    """One training of a recipe.

    Attributes:
        name: Its name in the recipe.
        folder: Its work dir.
        base: Its config as the file has it.
        options: What is merged into the config, in this order.
        amp: Train in half precision.
        reads: What it reads from the stages before it and from itself.
        number: Its place in the recipe, from 0, which is added to the seed.
    """

    name: str
    folder: Path
    base: Config
    options: list[dict] = field(default_factory=list)
    amp: bool = False
    reads: list[Reference] = field(default_factory=list)
    number: int = 0

    def config(self, paths: Mapping[str, str] | None = None) -> Config:
        """Merge the config.

        Args:
            paths: Placeholder -> path. By default the placeholders stay.
        """
        cfg = copy.deepcopy(self.base)
        for options in self.options:
            cfg.merge_from_dict(fill(options, paths or {}))
        randomness = cfg.get('randomness') or {}
        if randomness.get('seed') is not None:
            # else all networks would start from the same weights
            cfg.randomness.seed += self.number
        if self.amp:
            enable_amp(cfg)
        return cfg

    @property
    def sources(self) -> list[str]:
        """Names of the earlier stages that it reads."""
        return list(dict.fromkeys(r.stage for r in self.reads if r.stage != self.name))


def check_checkpoints(stage: Stage, earlier: list[Stage], where: str) -> None:
    """Refuse checkpoints that are not written."""
    hooks = {source.name: checkpoint_hooks(source.config()) for source in earlier}
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
    hooks = list(cfg.get('custom_hooks') or [])
    default = cfg.get('default_hooks') or {}
    # mmengine's Runner has one unless the config takes it away
    hooks.append(default.get('checkpoint', dict(type='CheckpointHook')))
    return [h for h in hooks if h and 'CheckpointHook' in str(h.get('type'))]


def _is_one(save_best: Any) -> bool:
    return isinstance(save_best, str) or len(save_best) == 1
