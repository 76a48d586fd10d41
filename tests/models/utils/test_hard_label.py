"""Hard labels and the cross entropy on a part of the pixels."""

import math

import numpy as np
import pytest
import torch

from mmsemi.models.utils.hard_label import hard_label, masked_cross_entropy


@pytest.fixture
def case():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, dtype=torch.float64) * 3
    label = torch.randint(0, 4, (2, 3, 5))
    valid = torch.rand(2, 3, 5) < 0.8
    return logits, label, valid & (torch.rand(2, 3, 5) < 0.5), valid


def test_hard_label(case):
    logits = case[0].requires_grad_()
    label, confidence = hard_label(logits)
    assert not confidence.requires_grad and label.dtype == torch.long
    for b, y, x in np.ndindex(2, 3, 5):
        e = [math.exp(v) for v in logits[b, :, y, x].tolist()]
        assert label[b, y, x] == e.index(max(e))
        assert confidence[b, y, x].item() == pytest.approx(max(e) / sum(e))
    assert hard_label(logits.half())[1].dtype == torch.float32


@pytest.mark.parametrize('divide_by_kept', [False, True])
def test_matches_reference(case, divide_by_kept):
    logits, label, keep, valid = case
    label = torch.where(keep, label, 255)
    total = 0.0
    for b, y, x in keep.nonzero().tolist():
        e = [math.exp(v) for v in logits[b, :, y, x].tolist()]
        total -= math.log(e[label[b, y, x]] / sum(e))
    number = keep.sum() if divide_by_kept else valid.sum()
    others = () if divide_by_kept else (valid,)
    got = masked_cross_entropy(logits, label, keep, *others)
    assert got.item() == pytest.approx(total / number.item())


def test_value():
    logits = torch.zeros(1, 3, 2, 2)
    keep = torch.tensor([[[True, False], [False, False]]])
    label = torch.zeros(1, 2, 2, dtype=torch.long)
    got = masked_cross_entropy(logits, label, keep, torch.ones_like(keep))
    assert got.item() == pytest.approx(math.log(3) / 4)


def test_empty_mask():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    none = torch.zeros(1, 2, 2, dtype=torch.bool)
    loss = masked_cross_entropy(logits, torch.zeros(1, 2, 2), none)
    loss.backward()
    assert loss.item() == 0 and logits.grad.eq(0).all()


def test_gradcheck(case):
    logits, label, keep, valid = case
    assert torch.autograd.gradcheck(
        lambda x: masked_cross_entropy(x, label, keep, valid), logits.requires_grad_()
    )


def test_shape_error(case):
    logits, label, keep, valid = case
    with pytest.raises(ValueError, match='keep has shape'):
        masked_cross_entropy(logits, label, keep[:1], valid)
