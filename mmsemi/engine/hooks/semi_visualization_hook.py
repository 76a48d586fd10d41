"""Pictures of the pseudo-labels while they are being learned from."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from torch import Tensor

from mmsemi.datasets.annotations.label_maps import read_label_map
from mmsemi.datasets.atomic import replacing
from mmsemi.engine.panels import (
    colour_labels,
    encode_png,
    entropy_image,
    hatch,
    row,
)
from mmsemi.engine.unwrap import evaluating, unwrapped
from mmsemi.models.utils.lengths import check_length, steps
from mmsemi.models.utils.pseudo_label import entropy
from mmsemi.registry import HOOKS


@HOOKS.register_module()
class SemiVisualizationHook(Hook):
    """Draw the teacher's labels of a few unlabelled images, always the same.

    Every ``interval`` steps and at the end, each image gives a row of panels
    in ``<work_dir>/vis_data/pseudo_labels/<image>/iter_<n>.png``: the image,
    the pseudo-label, the same with the dropped pixels hatched, the entropy,
    and the truth where a folder of it is given. Dropped are the pixels whose
    entropy is not below ``entropy_threshold`` of the step just done; a method
    that reports none drops none.

    The training is not disturbed: no random number is drawn, the network
    predicts in eval mode, and the modes are put back.

    Args:
        interval: Steps from one drawing to the next, or a share of the training.
        num_images: How many images, spread evenly over the list. Defaults
            to 4.
        source: The part of the data set that they are from. Defaults to
            ``'unlabeled'``.
        truth_dir: Folder with the label maps of these images, for the
            pictures only. Defaults to None.
        seg_map_suffix: End of their names. Defaults to ``'.png'``.

    Raises:
        ValueError: If the interval is neither steps nor a share, no image is to be
            drawn, or the training data have no such part.
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: float,
        num_images: int = 4,
        source: str = 'unlabeled',
        truth_dir: str | None = None,
        seg_map_suffix: str = '.png',
    ) -> None:
        check_length(interval, 'interval')
        if not interval or num_images < 1:
            raise ValueError(
                f'SemiVisualizationHook interval={interval}, num_images={num_images}: '
                'give 1 or more, or remove the hook to draw nothing'
            )
        self.interval = interval
        self.num_images = num_images
        self.source = source
        self.truth_dir = truth_dir
        self.seg_map_suffix = seg_map_suffix

    def before_train(self, runner: Runner) -> None:
        """Choose the steps and the images."""
        self._every = max(1, steps(self.interval, runner.max_iters, 'interval'))
        dataset = runner.train_dataloader.dataset
        sources = getattr(dataset, 'sources', {})
        if self.source not in sources:
            raise ValueError(
                f'SemiVisualizationHook draws images of the part {self.source!r}, but '
                f'the training data have {list(sources) or "no parts"}: set source to '
                'one of them, or remove the hook'
            )
        part = sources[self.source]
        number = min(self.num_images, len(part))
        chosen = np.linspace(0, len(part) - 1, number).round().astype(int)
        self._paths = [part.get_data_info(int(i))['img_path'] for i in chosen]
        self._palette = dataset.metainfo['palette']

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: dict | None = None,
    ) -> None:
        """Draw, if it is time."""
        done = runner.iter + 1
        if done % self._every == 0 or done == runner.max_iters:
            self._draw(runner, done, (outputs or {}).get('entropy_threshold'))

    @master_only
    @torch.no_grad()
    def _draw(self, runner: Runner, done: int, threshold: Tensor | None) -> None:
        model = unwrapped(runner)
        name = 'teacher' if 'teacher' in model.networks() else model.predict_on
        limit = float('inf') if threshold is None else float(threshold)
        folder = Path(runner.work_dir) / 'vis_data' / 'pseudo_labels'
        with model.predicting_on(name), evaluating(model):
            for path in self._paths:
                stem = Path(path).stem
                picture = self._panels(model, path, limit)
                with replacing(folder / stem / f'iter_{done:06d}.png') as aside:
                    aside.write_bytes(encode_png(picture))

    def _panels(self, model: Any, path: str, limit: float) -> np.ndarray:
        """Predict one image and return its row of panels, (H, W, 3) RGB."""
        image = mmcv.imread(path)
        prob = predict_prob(model, image)
        label, uncertainty = prob.argmax(0).numpy(), entropy(prob, dim=0).numpy()
        painted = colour_labels(label, self._palette)
        pictures = [
            image[..., ::-1],
            painted,
            hatch(painted, uncertainty >= limit),
            entropy_image(uncertainty, len(prob)),
        ]
        if self.truth_dir is not None:
            truth = Path(self.truth_dir) / f'{Path(path).stem}{self.seg_map_suffix}'
            pictures.append(colour_labels(read_label_map(truth), self._palette))
        return row(pictures)


def predict_prob(model: Any, image: np.ndarray) -> Tensor:
    """Predict the classes of a whole image.

    Args:
        model: A method of mmsemi, or a segmentor of mmseg, in eval mode.
        image: (H, W, 3) uint8 BGR.

    Returns:
        (C, H, W) float32 probabilities on the CPU.
    """
    shape = image.shape[:2]
    sample = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape))
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    batch: dict[str, Any] = dict(inputs=[tensor], data_samples=[sample])
    batch = model.data_preprocessor(batch, False)
    result = model(**batch, mode='predict')[0]
    return result.seg_logits.data.float().softmax(0).cpu()
