"""A segmentor that sees the boxes of an image."""

from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.utils import SampleList
from torch import Tensor

from mmsemi.models.utils.stack_boxes import stack_box_masks
from mmsemi.registry import MODELS


@MODELS.register_module()
class BoxConditionedSegmentor(EncoderDecoder):
    """The ancillary model of self-correcting networks (CVPR 2020).

    p_anc(y | x, b): mmseg's ``EncoderDecoder``, whose head also sees the boxes. It is
    trained like any other segmentor, on images with masks and boxes (Eq. 1), and
    needs the boxes in every image, also in validation and test.

    Walk-through: LoadBoxes, PackSemiInputs -> ``gt_instances`` of the data samples ->
    one map per class beside the image's channels, so that sliding windows cut both ->
    :class:`BoxConditionedHead`.

    Args:
        **kwargs: As for ``EncoderDecoder``; ``decode_head`` is a
            :class:`BoxConditionedHead`.

    Raises:
        ValueError: If the head takes no boxes.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not hasattr(self.decode_head, 'num_box_classes'):
            raise ValueError(
                f'the head {type(self.decode_head).__name__} takes no boxes: set '
                "decode_head.type='BoxConditionedHead'"
            )

    @property
    def num_box_classes(self) -> int:
        """Number C of classes that have boxes."""
        return self.decode_head.num_box_classes

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Compute mmseg's losses of images (N, 3, H, W) with boxes."""
        return super().loss(self._beside(inputs, data_samples), data_samples)

    def predict(
        self, inputs: Tensor, data_samples: SampleList | None = None
    ) -> SampleList:
        """Predict images (N, 3, H, W) with boxes, as mmseg does."""
        return super().predict(self._beside(inputs, data_samples), data_samples)

    def _forward(
        self, inputs: Tensor, data_samples: SampleList | None = None
    ) -> Tensor:
        """Return the scores (N, C, h, w) of images (N, 3, H, W) with boxes."""
        return super()._forward(self._beside(inputs, data_samples), data_samples)

    def _beside(self, inputs: Tensor, data_samples: SampleList | None) -> Tensor:
        """Put the maps of the boxes beside the images: (N, 3 + C + 1, H, W)."""
        height, width = inputs.shape[-2:]
        maps = stack_box_masks(data_samples, self.num_box_classes, (height, width))
        return torch.cat([inputs, maps.to(inputs)], dim=1)

    def extract_feat(self, inputs: Tensor) -> list[Tensor]:
        """Return the backbone's features of the images, and the maps as the last one.

        Args:
            inputs: Images and maps (N, 3 + C + 1, H, W).

        Raises:
            ValueError: If there are images only.
        """
        maps = self.num_box_classes + 1
        if inputs.shape[1] <= maps:
            raise ValueError(
                f'{type(self).__name__} got {inputs.shape[1]} channels, images without '
                'the maps of their boxes: call it with data_samples that have boxes'
            )
        return [*super().extract_feat(inputs[:, :-maps]), inputs[:, -maps:]]

    def _auxiliary_head_forward_train(
        self, inputs: list[Tensor], data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Compute the auxiliary heads' losses, which see no boxes."""
        return super()._auxiliary_head_forward_train(inputs[:-1], data_samples)
