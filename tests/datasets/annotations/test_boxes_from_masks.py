"""Boxes of masks, against a flood fill and by hand."""

import numpy as np
import pytest

from mmsemi.datasets.annotations.boxes_from_masks import (
    boxes_of_components,
    boxes_of_instances,
)
from mmsemi.datasets.toyvoc.images import draw

MASK = np.array(
    [
        [1, 1, 0, 2, 2],
        [0, 0, 1, 2, 255],
        [0, 0, 0, 0, 0],
        [1, 0, 0, 255, 1],
    ],
    dtype=np.uint8,
)


def flood(mask):
    """Box the components of each class: (label, x1, y1, x2, y2)."""
    left, found = {(i, j) for i, j in np.ndindex(mask.shape)}, []
    while left:
        start = left.pop()
        members, queue = [start], [start]
        while queue:
            i, j = queue.pop()
            for near in [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                if near in left and mask[near] == mask[start]:
                    left.remove(near)
                    members.append(near)
                    queue.append(near)
        rows, columns = zip(*members, strict=True)
        ends = min(columns), min(rows), max(columns) + 1, max(rows) + 1
        found.append((int(mask[start]), len(members), ends))
    return found


@pytest.mark.parametrize('background', [True, False])
@pytest.mark.parametrize('min_area', [1, 3])
def test_components_against_a_flood_fill(background, min_area):
    mask = np.random.default_rng(0).integers(0, 4, (9, 12)).astype(np.uint8)
    mask[mask == 3] = 255
    boxes, labels = boxes_of_components(
        mask, 3 - background, background=background, min_area=min_area
    )
    expected = sorted(
        (value + (not background), *ends)
        for value, area, ends in flood(mask)
        if value != 255 and area >= min_area and (value or not background)
    )
    got = zip(labels.tolist(), *boxes.astype(int).T.tolist(), strict=True)
    assert sorted(got) == expected and len(expected) > 5
    assert labels.tolist() == sorted(labels)


def test_components_by_hand():
    boxes, labels = boxes_of_components(MASK, 2)
    assert labels.tolist() == [1, 1, 1, 2]
    assert sorted(boxes.tolist()) == [
        [0, 0, 3, 2],
        [0, 3, 1, 4],
        [3, 0, 5, 2],
        [4, 3, 5, 4],
    ]
    boxes, labels = boxes_of_components(np.zeros((3, 3), np.uint8), 2)
    assert boxes.shape == (0, 4) and labels.shape == (0,)


def test_instances_are_those_of_toyvoc():
    for seed in range(5):
        picture = draw(np.random.default_rng(seed))
        boxes, labels = boxes_of_instances(picture.instances, picture.mask, 6)
        assert boxes.tolist() == [list(o.box) for o in picture.objects]
        assert labels.tolist() == [o.label for o in picture.objects]


def test_instances_have_the_class_of_most_pixels():
    instances = np.array([[5, 5, 5, 5, 0, 255, 9]])
    mask = np.array([[0, 2, 2, 1, 0, 255, 1]], dtype=np.uint8)
    boxes, labels = boxes_of_instances(instances, mask, 2)
    assert boxes.tolist() == [[0, 0, 4, 1], [6, 0, 7, 1]]
    assert labels.tolist() == [2, 1]
    mask[0, 0] = mask[0, 3] = 0
    # without a background class 0 is a class: a draw goes to the first
    labels = boxes_of_instances(instances, mask, 3, background=False)[1]
    assert labels.tolist() == [1, 2]


def test_wrong_masks():
    message = 'holds the class 2, but 1 to 1 have boxes'
    with pytest.raises(ValueError, match=message):
        boxes_of_components(MASK, 1)
    with pytest.raises(ValueError, match=message):
        boxes_of_instances(MASK, MASK, 1)
    with pytest.raises(ValueError, match='class 2, but 0 to 1 have boxes'):
        boxes_of_components(MASK, 2, background=False)
    with pytest.raises(ValueError, match=r'is \(4, 5\) and the mask \(3, 5\)'):
        boxes_of_instances(MASK, MASK[1:], 2)
    with pytest.raises(ValueError, match='no pixel of the instance 2 has a class'):
        boxes_of_instances(MASK, np.where(MASK == 2, 0, MASK), 2)
