"""The boxes of a batch, as maps."""

import torch
from mmseg.utils import SampleList
from torch import Tensor

from .boxes import boxes_to_label, boxes_to_mask, em_fixed_label


def stack_box_masks(
    data_samples: SampleList | None, num_classes: int, size: tuple[int, int]
) -> Tensor:
    """Draw the boxes of each sample.

    Args:
        data_samples: N samples with ``gt_instances``.
        num_classes: C, number of classes that have boxes.
        size: Height and width of the padded images.

    Returns:
        (N, C + 1, H, W) float32, as :func:`boxes_to_mask`; padding is covered by none.

    Raises:
        ValueError: A sample has no boxes, or they are of other classes.
    """
    return torch.stack(
        [
            boxes_to_mask(boxes.bboxes, boxes.labels, num_classes, size)
            for boxes in _instances(data_samples, num_classes)
        ]
    )


def stack_box_labels(
    data_samples: SampleList, num_classes: int, valid: Tensor
) -> Tensor:
    """Draw the class of the smallest box around each pixel.

    Args:
        data_samples: N samples with ``gt_instances``.
        num_classes: C, number of classes that have boxes.
        valid: (N, H, W) bool, False where images are padded.

    Returns:
        (N, H, W) long, as :func:`boxes_to_label`, 255 in the padding.

    Raises:
        ValueError: A sample has no boxes, or they are of other classes.
    """
    height, width = valid.shape[1:]
    labels = [
        boxes_to_label(boxes.bboxes, boxes.labels, (height, width), boxes.areas)
        for boxes in _instances(data_samples, num_classes)
    ]
    return torch.stack(labels).masked_fill(~valid, 255)


def estimate_labels(
    scores: Tensor,
    rect_label: Tensor,
    num_box_classes: int,
    bg_bias: float,
    fg_bias: float,
) -> Tensor:
    """Estimate labels as :func:`em_fixed_label`, also where no class is background.

    Args:
        scores: Class scores (N, C, H, W).
        rect_label: (N, H, W), as :func:`stack_box_labels` draws it.
        num_box_classes: C - 1, or C if there is no background: then ``bg_bias`` is not
            used, and pixels without a box have the class of the best score.
        bg_bias: Added to the background's score.
        fg_bias: Added to the score of the box's class.

    Returns:
        Classes (N, H, W) in [0, C - 1], long, 255 where ``rect_label`` is.
    """
    padding = rect_label == 255
    if num_box_classes < scores.shape[1]:
        label = em_fixed_label(scores, rect_label, bg_bias, fg_bias)
    else:
        # one that never wins takes the background's place
        absent = torch.full_like(scores[:, :1], -torch.inf)
        scores = torch.cat([absent, scores], dim=1)
        label = em_fixed_label(scores, rect_label, bg_bias, fg_bias) - 1
    return label.masked_fill(padding, 255)


def check_box_classes(num_box_classes: int, num_classes: int) -> None:
    """Refuse a number of classes with boxes that fits no data set.

    Raises:
        ValueError: It is neither all of the classes nor all but a background.
    """
    if not 0 <= num_classes - num_box_classes <= 1:
        raise ValueError(
            f'num_box_classes={num_box_classes}, but of {num_classes} classes '
            f'{num_classes - 1} have boxes if the first is a background, else '
            f'{num_classes}'
        )


def _instances(data_samples: SampleList | None, num_classes: int) -> list:
    """Return the boxes of each sample, after a look at what is known on the host."""
    for sample in data_samples or [None]:
        if sample is None or 'gt_instances' not in sample:
            raise ValueError(
                'a sample has no boxes: put LoadBoxes behind LoadImageFromFile, also '
                'in the pipelines of validation and test, and end them with '
                'PackSemiInputs'
            )
        names = sample.metainfo.get('box_classes')
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f'{sample.metainfo.get("img_path")} has boxes of {len(names)} classes, '
                f'but the model was built for {num_classes}: correct classes of '
                'LoadBoxes, or num_box_classes'
            )
    return [sample.gt_instances for sample in data_samples or []]
