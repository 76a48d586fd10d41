"""The class-aware cross entropy against loops, and where it could break."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.losses import class_aware_cross_entropy
from mmsemi.models.utils.tags import labels_outside_tags

TAGS = torch.tensor([[True, False, True, True], [False, True, True, False]])


def make_batch(dtype=torch.float32):
    """Two images of four classes, labels inside their tags, some void."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 4, 5, 6, generator=generator).to(dtype)
    draw = torch.randint(6, (2, 5, 6), generator=generator)
    label = torch.stack([torch.tensor([0, 2, 3])[draw[0] % 3], 1 + draw[1] % 2])
    label[torch.rand(label.shape, generator=generator) < 0.2] = 255
    return logits, label


def slow(logits, label, tags, eps=0.0, weights=(1, 1, 1, 1)):
    """One pixel at a time, in Python numbers."""
    terms = torch.zeros(label.shape, dtype=torch.double)
    valid = []
    for b, y, x in (label != 255).nonzero().tolist():
        c = int(label[b, y, x])
        if not tags[b, c]:
            continue
        scores = logits[b, :, y, x].tolist()
        total = eps + sum(math.exp(s) for k, s in enumerate(scores) if tags[b, k])
        terms[b, y, x] = -weights[c] * math.log(math.exp(scores[c]) / total + eps)
        valid.append(float(terms[b, y, x]))
    return terms, sum(valid) / max(len(valid), 1)


def test_value():
    logits = torch.tensor([0.0, math.log(3), 50]).view(1, 3, 1, 1)
    tags = torch.tensor([[True, True, False]])
    loss = class_aware_cross_entropy(logits, torch.ones(1, 1, 1).long(), tags)
    assert loss.item() == pytest.approx(math.log(4 / 3))


@pytest.mark.parametrize('eps', [None, 1e-5, 0.1])
@pytest.mark.parametrize('weights', [None, (0.5, 2, 1, 3)])
def test_matches_slow_computation(eps, weights):
    logits, label = make_batch()
    label[0, 0, 0], label[1, 2, 3] = 1, 0  # outside of the tags
    terms, mean = slow(logits, label, TAGS, eps or 0, weights or [1] * 4)
    class_weight = None if weights is None else torch.tensor(weights)

    def loss(reduction):
        return class_aware_cross_entropy(
            logits,
            label,
            TAGS,
            eps=eps,
            reduction=reduction,
            class_weight=class_weight,
        )

    torch.testing.assert_close(loss('none'), terms.float(), rtol=1e-4, atol=1e-5)
    assert loss('mean').item() == pytest.approx(mean, 1e-5)
    assert loss('sum').item() == pytest.approx(terms.sum().item(), 1e-5)


def test_all_tagged_is_cross_entropy():
    logits, label = make_batch()
    for reduction in ('mean', 'sum', 'none'):
        torch.testing.assert_close(
            class_aware_cross_entropy(
                logits, label, torch.ones(2, 4).bool(), reduction=reduction
            ),
            F.cross_entropy(logits, label, ignore_index=255, reduction=reduction),
        )


def test_shift_changes_nothing_but_with_eps():
    logits, label = make_batch()
    first, shifted = (
        class_aware_cross_entropy(logits - shift, label, TAGS) for shift in (0, 12)
    )
    torch.testing.assert_close(first, shifted, rtol=1e-4, atol=1e-5)
    first, shifted = (
        class_aware_cross_entropy(logits - shift, label, TAGS, eps=1e-5)
        for shift in (0, 12)
    )
    assert shifted > first + 0.1


@pytest.mark.parametrize('eps', [None, 1e-3])
def test_gradcheck(eps):
    logits, label = make_batch(torch.double)
    logits = logits[..., :3].requires_grad_()
    label = label[..., :3].clone()
    label[0, 0, 0] = 1

    def loss(x):
        return class_aware_cross_entropy(x, label, TAGS, eps=eps)

    assert torch.autograd.gradcheck(loss, (logits,))


@pytest.mark.parametrize('eps', [None, 1e-5])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_finite_at_large_logits(dtype, eps):
    logits, label = make_batch()
    logits = (1e4 * logits.sign()).to(dtype).requires_grad_()
    loss = class_aware_cross_entropy(logits, label, TAGS, eps=eps)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and loss > 0
    assert logits.grad.isfinite().all()
    if eps is None:
        assert loss > 1000 and logits.grad.any()


@pytest.mark.parametrize('eps', [None, 1e-5])
def test_untagged_logits_get_no_gradient(eps):
    logits, label = make_batch()
    label[0, 0, 0] = 1
    logits.requires_grad_()
    class_aware_cross_entropy(logits, label, TAGS, eps=eps).backward()
    grad = logits.grad.permute(0, 2, 3, 1)
    assert (grad[:, :, :, :][~TAGS[:, None, None].expand_as(grad)] == 0).all()
    valid = (label != 255) & ~labels_outside_tags(label, TAGS)
    assert (grad[~valid] == 0).all()
    tagged = grad[TAGS[:, None, None].expand_as(grad) & valid[..., None]]
    assert (tagged != 0).all()


def test_labels_outside_are_ignored_and_found():
    logits, label = make_batch()
    wrong = label.clone()
    wrong[0, :2, :3], wrong[1, 4] = 1, 3
    outside = labels_outside_tags(wrong, TAGS)
    expected = torch.zeros_like(outside)
    expected[0, :2, :3] = expected[1, 4] = True
    assert torch.equal(outside, expected)
    torch.testing.assert_close(
        class_aware_cross_entropy(logits, wrong, TAGS),
        class_aware_cross_entropy(logits, wrong.masked_fill(expected, 255), TAGS),
    )
    assert not labels_outside_tags(label, TAGS).any()


@pytest.mark.parametrize('eps', [None, 1e-5])
def test_nothing_counts(eps):
    """An image without tags, and void alone: 0, with a gradient of 0, never NaN."""
    logits, label = make_batch()
    tags = TAGS.clone()
    tags[0] = False
    label[1] = 255
    logits.requires_grad_()
    with torch.autograd.detect_anomaly():
        loss = class_aware_cross_entropy(logits, label, tags, eps=eps)
        loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_other_ignore_index():
    logits, label = make_batch()
    torch.testing.assert_close(
        class_aware_cross_entropy(
            logits, label.masked_fill(label == 255, -1), TAGS, ignore_index=-1
        ),
        class_aware_cross_entropy(logits, label, TAGS),
    )


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(label=torch.zeros(2, 5, 5).long()), r'label has shape \(2, 5, 5\)'),
        (dict(tags=TAGS[:1]), r'tags has shape \(1, 4\), but \(2, 4\)'),
        (dict(tags=TAGS.float()), r'tags are torch\.float32: give torch\.bool'),
        (
            dict(class_weight=torch.ones(3)),
            r'class_weight has shape \(3,\), but \(4,\)',
        ),
        (dict(eps=0), 'eps=0 must be above 0'),
        (dict(reduction='max'), r"reduction='max': choose one of \('mean', 'sum'"),
    ],
)
def test_wrong_arguments(change, match):
    logits, label = make_batch()
    with pytest.raises(ValueError, match=match):
        class_aware_cross_entropy(
            **dict(logits=logits, label=label, tags=TAGS) | change
        )
