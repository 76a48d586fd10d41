"""Predictions from a training's checkpoint."""

from typing import Any

from mmengine.config import Config
from mmseg.apis import MMSegInferencer

from mmsemi.engine.runner.launch import check_checkpoint


class SemiSegInferencer(MMSegInferencer):
    """mmseg's inferencer for the config and checkpoint of a method.

    Exported students need none of this: mmseg's own inferencer takes them.

    Example:
        >>> inferencer = SemiSegInferencer('config.py', 'iter_2500.pth', device='cpu')
        >>> inferencer('image.jpg')['predictions']  # (H, W)

    Args:
        model: Path of the config, or the config.
        weights: Path of the checkpoint.
        predict_on: Network that predicts, e.g. ``'student'``, or ``'fusion'`` of
            BST. By default the one that the config names.
        show_progress: Show a bar while it predicts. Defaults to True.
        **kwargs: ``device``, ``classes``, ``palette``, ``dataset_name`` of mmseg's
            inferencer.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint is of another model, or ``predict_on`` is no
            network of the method.
    """

    def __init__(
        self,
        model: str | Config,
        weights: str | None = None,
        *,
        predict_on: str | None = None,
        show_progress: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, weights, scope='mmsemi', **kwargs)
        # mmseg's own takes it as an argument in its newer versions only
        self.show_progress = show_progress
        if weights is not None:
            check_checkpoint(weights, self.model, whole=True)
        if predict_on is None:
            return
        if predict_on not in self.model.predictors():
            raise ValueError(
                f'predict_on={predict_on!r}: the networks of '
                f'{type(self.model).__name__} are {self.model.predictors()}'
            )
        self.model.predict_on = predict_on
