"""Several views of one image."""

import copy

from mmcv.transforms import BaseTransform, Compose

from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MultiBranch(BaseTransform):
    """Run one pipeline per branch on copies of the same sample.

    It stands after the shared geometry (resize, crop, flip), so that the
    views of one image stay aligned pixel by pixel; its own pipelines hold
    photometric transforms only and end with :class:`PackSemiInputs`.

    Example:
        >>> dict(type='MultiBranch',
        ...      unsup_teacher=[dict(type='PackSemiInputs')],
        ...      unsup_student=[dict(type='StrongPhotometric'),
        ...                     dict(type='PackSemiInputs')])

    Args:
        **branches: Branch name (``sup``, ``unsup_teacher``,
            ``unsup_student``, …) to a list of transforms.

    Raises:
        ValueError: If there is no branch, or one is not a list.
    """

    def __init__(self, **branches: list[dict]) -> None:
        if not branches:
            raise ValueError(
                'MultiBranch has no branch: name at least one, e.g. '
                "sup=[dict(type='PackSemiInputs')]"
            )
        for name, pipeline in branches.items():
            if not isinstance(pipeline, (list, tuple)):
                raise ValueError(
                    f'MultiBranch branch {name!r} must be a list of transforms, '
                    f'got {type(pipeline).__name__}'
                )
        self.branches = {
            name: Compose([TRANSFORMS.build(step) for step in pipeline])
            for name, pipeline in branches.items()
        }

    def transform(self, results: dict) -> dict | None:
        """Return ``{branch: {'inputs': …, 'data_samples': …}}``."""
        packed = {}
        for name, pipeline in self.branches.items():
            packed[name] = pipeline(copy.deepcopy(results))
            if packed[name] is None:
                return None
            if 'inputs' not in packed[name]:
                raise ValueError(
                    f'MultiBranch branch {name!r} is not packed: end its pipeline '
                    "with dict(type='PackSemiInputs')"
                )
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}(branches={list(self.branches)})'
