import math

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.losses import soft_cross_entropy


def make_batch(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator).to(dtype)
    target = torch.randn(2, 3, 4, 5, generator=generator).softmax(1).to(dtype)
    return logits, target, torch.rand(2, 4, 5, generator=generator) < 0.5


def test_value():
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)
    target = torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)
    expected = -0.25 * math.log(1 / 4) - 0.75 * math.log(3 / 4)
    assert soft_cross_entropy(logits, target).item() == pytest.approx(expected)


@pytest.mark.parametrize('masked', [False, True])
def test_matches_reference(masked):
    logits, target, valid = make_batch()
    terms = []
    for b, y, x in torch.ones_like(valid).nonzero().tolist():
        if masked and not valid[b, y, x]:
            continue
        scores = logits[b, :, y, x].tolist()
        norm = math.log(sum(math.exp(s) for s in scores))
        target_here = target[b, :, y, x].tolist()
        terms.append(
            -sum(t * (s - norm) for t, s in zip(target_here, scores, strict=True))
        )
    loss = soft_cross_entropy(logits, target, valid if masked else None)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), 1e-5)


def test_one_hot_is_cross_entropy():
    logits, target, _ = make_batch()
    label = target.argmax(1)
    one_hot = F.one_hot(label, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(
        soft_cross_entropy(logits, one_hot), F.cross_entropy(logits, label)
    )


@pytest.mark.parametrize('scale', [1, 1e30])
def test_empty_mask(scale):
    logits, target, valid = make_batch()
    logits = (scale * logits).requires_grad_()
    loss = soft_cross_entropy(logits, target, torch.zeros_like(valid))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_gradcheck():
    logits, target, valid = make_batch(torch.double)
    logits.requires_grad_()
    target.requires_grad_()
    assert torch.autograd.gradcheck(soft_cross_entropy, (logits, target, valid))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half(dtype):
    logits, target, valid = make_batch()
    logits = (1000 * logits).to(dtype).requires_grad_()
    loss = soft_cross_entropy(logits, target.to(dtype), valid)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert logits.grad.isfinite().all()


def test_shape_error():
    logits, target, valid = make_batch()
    with pytest.raises(ValueError, match='target_prob has shape'):
        soft_cross_entropy(logits, target[:, :2])
    with pytest.raises(ValueError, match='valid has shape'):
        soft_cross_entropy(logits, target, valid[:1])
