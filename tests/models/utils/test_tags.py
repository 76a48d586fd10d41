"""Tags of data samples, and predictions restricted to them."""

import pytest
import torch
from mmengine.structures import LabelData
from mmseg.structures import SegDataSample

from mmsemi.models.utils.tags import (
    labels_outside_tags,
    restrict_probabilities,
    restrict_to_tags,
    stack_tags,
)

TAGS = torch.tensor([[True, False, True], [False, True, False]])


def sample(tags: torch.Tensor | None) -> SegDataSample:
    found = SegDataSample(metainfo=dict(img_path='a.jpg'))
    if tags is not None:
        found.gt_tags = LabelData(item=tags)
    return found


def test_stack():
    assert torch.equal(stack_tags([sample(row) for row in TAGS], 3), TAGS)


def test_stack_refuses():
    with pytest.raises(ValueError, match=r'a\.jpg has no image tags: put LoadImage'):
        stack_tags([sample(TAGS[0]), sample(None)], 3)
    with pytest.raises(ValueError, match=r'a\.jpg are of 3 classes, but .* has 4'):
        stack_tags([sample(TAGS[0])], 4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_restrict(dtype):
    torch.manual_seed(0)
    scores = (1000 * torch.randn(2, 3, 4, 5)).to(dtype)
    got = restrict_to_tags(scores, TAGS)
    prob = got.softmax(1)
    for b in range(2):
        for c in range(3):
            if TAGS[b, c]:
                assert torch.equal(got[b, c], scores[b, c].float())
            else:
                assert (prob[b, c] == 0).all()
                assert not (got.argmax(1)[b] == c).any()
    resized = torch.nn.functional.interpolate(got, (7, 9), mode='bilinear')
    assert resized.isfinite().all()
    assert got.dtype == torch.float32
    assert restrict_to_tags(scores[..., 0, 0], TAGS).shape == (2, 3)


def test_without_tags_nothing_is_restricted():
    scores = torch.randn(2, 3, 4, 5)
    tags = TAGS.clone()
    tags[1] = False
    assert torch.equal(restrict_to_tags(scores, tags)[1], scores[1])
    with pytest.raises(ValueError, match='tags has shape'):
        restrict_to_tags(scores, TAGS[:, :2])


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_restrict_probabilities(dtype):
    torch.manual_seed(0)
    prob = torch.randn(3, 3, 4, 5).softmax(1).to(dtype)
    # no tagged class has any probability left
    prob[1, :, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    tags = torch.cat([TAGS, torch.zeros(1, 3, dtype=torch.bool)])
    before = prob.clone()
    got = restrict_probabilities(prob, tags)
    assert torch.equal(prob, before)
    assert got.dtype == (dtype if dtype == torch.float64 else torch.float32)
    for b in range(3):
        allowed = [c for c in range(3) if tags[b, c] or b == 2]
        for y in range(4):
            for x in range(5):
                total = sum(float(prob[b, c, y, x]) for c in allowed)
                for c in range(3):
                    share = float(prob[b, c, y, x]) / total if total else 1.0
                    expected = share if c in allowed else 0.0
                    assert got[b, c, y, x].item() == pytest.approx(expected, abs=1e-6)


def test_labels_that_are_no_class_are_outside():
    label = torch.tensor([[[0, 1, 2, 7, -1, 255]]])
    tags = torch.tensor([[True, False, True]])
    outside = labels_outside_tags(label, tags)
    assert outside.flatten().tolist() == [False, True, False, True, True, False]
