"""Boxes as maps and the labels of EM-Fixed, against loops over pixels."""

import math

import pytest
import torch

from mmsemi.models.utils.boxes import boxes_to_label, boxes_to_mask, em_fixed_label

SIZE = 7, 9


def draw_boxes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw boxes that overlap, leave the map, and miss it."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, 2, generator=generator) * 14 - 3
    sides = torch.rand(n, 2, generator=generator) * 8
    # halves are the centres of pixels
    boxes = (torch.cat([first, first + sides], 1) * 2).round() / 2
    return boxes, torch.randint(1, 4, (n,), generator=generator)


def covers(box: torch.Tensor, row: int, column: int) -> bool:
    x1, y1, x2, y2 = box.tolist()
    return x1 <= column + 0.5 < x2 and y1 <= row + 0.5 < y2


@pytest.mark.parametrize('seed', range(4))
def test_mask_against_pixels(seed):
    boxes, labels = draw_boxes(6, seed)
    expected = torch.zeros(4, *SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            inside = [covers(box, row, column) for box in boxes]
            expected[0, row, column] = not any(inside)
            for label, is_inside in zip(labels, inside, strict=True):
                if is_inside:
                    expected[label, row, column] = 1
    got = boxes_to_mask(boxes, labels, 3, SIZE)
    assert got.dtype == torch.float32 and torch.equal(got, expected)
    assert torch.equal(got[0], 1 - got[1:].amax(0))


def test_mask_by_hand():
    """Half-open in whole pixels, overlaps of two classes, and a box that leaves."""
    boxes = torch.tensor([[1, 1, 3, 3], [2, 0, 4, 2], [-5, 2, 1, 9]])
    mask = boxes_to_mask(boxes, torch.tensor([1, 3, 1]), 3, (3, 4))
    assert mask.tolist() == [
        [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]],
        [[0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]],
        [[0] * 4] * 3,
        [[0, 0, 1, 1], [0, 0, 1, 1], [0] * 4],
    ]


@pytest.mark.parametrize(
    ('box', 'columns'),
    [
        ((0.5, 1.5), [0]),  # the left edge is inside, the right one is not
        ((0.51, 1.51), [1]),
        ((0.6, 1.4), []),  # between two centres
        ((2, 2), []),
        ((3, 1), []),
        ((-2, 0.6), [0]),
        ((3.2, 99), [3]),
        ((-9, -1), []),
        ((4, 9), []),
    ],
)
def test_centres_decide(box, columns):
    across = torch.tensor([[box[0], 0, box[1], 1]])
    down = torch.tensor([[0, box[0], 1, box[1]]])
    expected = [float(i in columns) for i in range(4)]
    one = torch.tensor([1])
    assert boxes_to_mask(across, one, 1, (1, 4))[1, 0].tolist() == expected
    assert boxes_to_mask(down, one, 1, (4, 1))[1, :, 0].tolist() == expected


def test_no_boxes():
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    mask = boxes_to_mask(*none, 3, SIZE)
    assert torch.equal(mask, torch.eye(4)[0][:, None, None].expand(4, *SIZE))
    assert torch.equal(boxes_to_label(*none, SIZE), torch.zeros(SIZE, dtype=torch.long))


def test_many_boxes_under_autocast():
    boxes, labels = torch.tensor([[0, 0, 2, 2]]).repeat(3000, 1), torch.ones(3000)
    with torch.autocast('cpu', torch.bfloat16):
        mask = boxes_to_mask(boxes, labels, 1, (3, 3))
    assert mask[1].sum() == 4 and mask[0].sum() == 5 and mask.dtype == torch.float32


@pytest.mark.parametrize('seed', range(4))
def test_label_against_pixels(seed):
    boxes, labels = draw_boxes(6, seed)
    boxes[3] = boxes[1] + 1  # of the same area
    got = boxes_to_label(boxes, labels, SIZE)
    assert got.dtype == torch.long
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            best, area = 0, math.inf
            for box, label in zip(boxes, labels, strict=True):
                x1, y1, x2, y2 = box.tolist()
                if covers(box, row, column) and (x2 - x1) * (y2 - y1) < area:
                    best, area = label.item(), (x2 - x1) * (y2 - y1)
            assert got[row, column] == best


def test_label_ties_and_crops():
    boxes = torch.tensor([[0, 0, 4, 4], [1, 1, 3, 3], [2, 2, 4, 4]])
    label = boxes_to_label(boxes, torch.tensor([1, 2, 3]), (4, 4))
    assert label.tolist() == [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 3], [1, 1, 3, 3]]


def test_the_first_of_many_equal_boxes_wins():
    boxes, labels = torch.tensor([[0, 0, 2, 2]]).repeat(300, 1), torch.arange(300) + 1
    assert boxes_to_label(boxes, labels, (2, 2)).tolist() == [[1, 1], [1, 1]]


def test_a_crop_has_the_labels_of_the_image():
    boxes, labels = torch.tensor([[0, 0, 9, 9], [3, 4, 9, 8]]), torch.tensor([1, 2])
    whole = boxes_to_label(boxes, labels, (9, 9))
    cut = (boxes - 6).clamp(0, 3)
    cut[0, 3] = 1  # of the larger box less is seen
    areas = torch.tensor([81, 24])
    label = boxes_to_label(cut, labels, (3, 3), areas)
    assert torch.equal(label[0], whole[6, 6:]) and (label[0] == 2).all()
    assert (boxes_to_label(cut, labels, (3, 3))[0] == 1).all()


@pytest.mark.parametrize('shape', [(4, 5, 6), (2, 4, 5, 6)])
@pytest.mark.parametrize('biases', [dict(), dict(bg_bias=1, fg_bias=2)])
def test_em_fixed_against_pixels(shape, biases):
    torch.manual_seed(0)
    scores = 4 * torch.randn(shape, requires_grad=True)
    rect = torch.randint(0, 4, shape[:-3] + shape[-2:])
    rect[..., :2] = 255
    before = scores.detach().clone()
    got = em_fixed_label(scores, rect, **biases)
    assert torch.equal(scores, before) and got.dtype == torch.long
    assert not got.requires_grad
    bg, fg = biases.get('bg_bias', 5), biases.get('fg_bias', 6)
    columns = scores.detach().movedim(-3, -1).reshape(-1, 4).tolist()
    pairs = zip(columns, rect.flatten().tolist(), strict=True)
    expected = []
    for column, label in pairs:
        if label != 255:
            column[0] += bg
        if 0 < label < 255:
            column[label] += fg
        expected.append(column.index(max(column)))
    assert got.flatten().tolist() == expected
    assert len(set(expected)) == 4


def test_em_fixed_by_hand():
    """One pixel each: no box, a box of class 1, of class 2, and padding."""
    scores = torch.tensor([0.0, 1.5, 0.9]).view(3, 1, 1).expand(3, 1, 4)
    rect = torch.tensor([[0, 1, 2, 255]])
    assert em_fixed_label(scores, rect).tolist() == [[0, 1, 2, 1]]
    # a class without a box may still win, and a box's class may lose
    scores = torch.tensor([0.0, 9.0, 2.0]).view(3, 1, 1).expand(3, 1, 2)
    assert em_fixed_label(scores, rect[:, 1:3]).tolist() == [[1, 1]]


def test_no_host_sync():
    """A meta tensor has no value that could be read back."""
    boxes, labels = torch.zeros(5, 4, device='meta'), torch.ones(5, device='meta')
    assert boxes_to_mask(boxes, labels, 3, SIZE).shape == (4, *SIZE)
    rect = boxes_to_label(boxes, labels, SIZE)
    assert em_fixed_label(torch.zeros(4, *SIZE, device='meta'), rect).shape == SIZE


def test_shapes():
    box, label = torch.zeros(2, 4), torch.ones(2)
    for function in (boxes_to_label, lambda b, c, size: boxes_to_mask(b, c, 3, size)):
        with pytest.raises(ValueError, match=r'boxes are \(2, 3\), but \(n, 4\)'):
            function(box[:, :3], label, SIZE)
        with pytest.raises(ValueError, match=r'labels has shape \(1,\), but \(2,\)'):
            function(box, label[:1], SIZE)
    with pytest.raises(ValueError, match=r'rect_label has shape \(4, 4\)'):
        em_fixed_label(torch.zeros(3, 4, 5), torch.zeros(4, 4))
